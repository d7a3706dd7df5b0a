using System.Globalization;

namespace LlamaFullstack.Inference;

/// <summary>How many threads a model is worth.</summary>
internal static class ThreadCount
{
    // Below this a thread's share is done in less time than the barriers take: stories260K (1 MB) is fastest on one.
    private const long BytesPerThread = 2 << 20;

    /// <summary>As many threads as there are cores, but no more than the weights can keep busy.</summary>
    /// <param name="weightBytesPerToken">Bytes of weights that a token reads.</param>
    public static int For(long weightBytesPerToken) =>
        Useful(weightBytesPerToken) is > 1 and var useful ? Math.Min(useful, Cores()) : 1; // a small model asks the system nothing

    /// <summary>As many threads as a token's weights can keep busy, whatever the machine.</summary>
    /// <param name="weightBytesPerToken">Bytes of weights that a token reads.</param>
    public static int Useful(long weightBytesPerToken) => (int)Math.Clamp(weightBytesPerToken / BytesPerThread, 1, EngineOptions.MaxThreads);

    /// <summary>Cores that this process may use. Two threads of one core share its load ports, so they do not count twice.</summary>
    private static int Cores()
    {
        var available = Environment.ProcessorCount;
        var siblings = ThreadsPerCore();
        return Math.Max(1, available / siblings);
    }

    // Linux says it plainly; elsewhere threads are taken for cores, which costs little.
    private static int ThreadsPerCore()
    {
        const string path = "/sys/devices/system/cpu/smt/active";
        try
        {
            return File.Exists(path) && int.Parse(File.ReadAllText(path), CultureInfo.InvariantCulture) == 1 ? 2 : 1;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or FormatException)
        {
            return 1;
        }
    }
}
