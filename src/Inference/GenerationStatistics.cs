namespace LlamaFullstack.Inference;

/// <summary>How fast text came.</summary>
/// <param name="Steps">Positions that were computed, the prompt's included.</param>
/// <param name="Elapsed">From the end of the first step, which is slower (the file's pages are read, code is compiled), to the end of the last.</param>
public readonly record struct GenerationStatistics(int Steps, TimeSpan Elapsed)
{
    /// <summary>Steps per second after the first, as llama2.c counts; 0 where there was none.</summary>
    public double TokensPerSecond => Steps > 1 && Elapsed > TimeSpan.Zero ? (Steps - 1) / Elapsed.TotalSeconds : 0;
}
