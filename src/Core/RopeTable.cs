namespace LlamaFullstack.Core;

/// <summary>The angles of rotary position embedding.</summary>
public static class RopeTable
{
    /// <summary>Frequency of pair i of a head: theta^(-2i / head_size), rounded to float32 at each step as PyTorch does.</summary>
    public static float Frequency(LlamaConfig config, int pair) =>
        1.0f / (float)Math.Pow(config.RopeTheta, (float)(2 * pair) / config.HeadSize);

    /// <summary>Fills a table with f(position · frequency), (max_seq_len, head_size / 2).</summary>
    /// <param name="table">max_seq_len · head_size / 2 values.</param>
    /// <param name="config">The model's shape.</param>
    /// <param name="f">Sine or cosine.</param>
    public static void Fill(Span<float> table, LlamaConfig config, Func<double, double> f)
    {
        var pairs = config.HeadSize / 2;
        for (var pair = 0; pair < pairs; pair++)
        {
            var frequency = Frequency(config, pair);
            for (var position = 0; position < config.MaxSeqLen; position++)
                table[position * pairs + pair] = (float)f(position * frequency);
        }
    }
}
