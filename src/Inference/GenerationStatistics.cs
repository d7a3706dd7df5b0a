namespace LlamaFullstack.Inference;

/// <summary>How fast text came.</summary>
/// <param name="Steps">Positions that were computed, the prompt's included.</param>
/// <param name="FirstSteps">Positions of the first step: 1, or the first batch of the prompt.</param>
/// <param name="Elapsed">From the end of the first step, which is slower (the file's pages are read, code is compiled), to the end of the last.</param>
public readonly record struct GenerationStatistics(int Steps, int FirstSteps, TimeSpan Elapsed)
{
    /// <summary>Steps per second after the first, as llama2.c counts; 0 where there was none.</summary>
    public double TokensPerSecond => Steps > FirstSteps && Elapsed > TimeSpan.Zero ? (Steps - FirstSteps) / Elapsed.TotalSeconds : 0;
}
