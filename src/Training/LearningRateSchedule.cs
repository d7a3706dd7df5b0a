namespace LlamaFullstack.Training;

/// <summary>The learning rate of each update: it rises from 0 in a straight line, then falls along half a cosine.</summary>
/// <param name="Decays">Whether it does; else it is always <paramref name="Max"/>.</param>
/// <param name="Max">The rate at the end of the warm-up.</param>
/// <param name="Min">The rate from the end of the decay on.</param>
/// <param name="WarmupIters">Updates until <paramref name="Max"/>.</param>
/// <param name="DecayIters">Update at which <paramref name="Min"/> is reached.</param>
public sealed record LearningRateSchedule(bool Decays, double Max, double Min, int WarmupIters, int DecayIters)
{
    /// <summary>The learning rate of an update.</summary>
    public double At(long iteration)
    {
        if (!Decays)
            return Max;
        if (iteration < WarmupIters)
            return Max * iteration / WarmupIters;
        if (iteration >= DecayIters)
            return Min;
        var passed = (double)(iteration - WarmupIters) / (DecayIters - WarmupIters);
        return Min + 0.5 * (1 + Math.Cos(Math.PI * passed)) * (Max - Min);
    }
}
