namespace LlamaFullstack.Tests;

/// <summary>Reports at once and in order, on the caller's thread (<see cref="Progress{T}"/> does neither).</summary>
internal sealed class Immediate<T>(Action<T> handle) : IProgress<T>
{
    public void Report(T value) => handle(value);
}
