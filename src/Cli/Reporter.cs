namespace LlamaFullstack.Cli;

/// <summary>Shows what is reported at once and in order, on the thread that reports (<see cref="Progress{T}"/> does neither).</summary>
internal sealed class Reporter<T>(Action<T> show) : IProgress<T>
{
    public void Report(T value) => show(value);
}
