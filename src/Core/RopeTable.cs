namespace LlamaFullstack.Core;

/// <summary>The angles of rotary position embedding.</summary>
public static class RopeTable
{
    // sin(r) ≈ r + r³·(A3 + A5·r² + A7·r⁴ + A9·r⁶) on [-π/2, π/2]: the minimax polynomial of the relative error, 6.1e-9 at most, found by
    // Remez's exchange. See Cos for why a polynomial this short stands here and not the mathematical sine.
    private const double A3 = -0.16666659550427755666;
    private const double A5 = 0.0083330662460821613039;
    private const double A7 = -0.00019809602901938454445;
    private const double A9 = 2.6057806379691208459e-6;

    // π - (double)π, so that n·π is taken away from an angle to twice the precision.
    private const double PiRest = 1.2246467991473532e-16;

    /// <summary>Radians per position of pair i of a head: theta^(-2i / head_size), scaled where the model says so; float32 at each step as in PyTorch.</summary>
    public static float Frequency(LlamaConfig config, int pair)
    {
        var frequency = 1.0f / (float)Math.Pow(config.RopeTheta, (float)(2 * pair) / config.HeadSize);
        return config.RopeScaling?.Apply(frequency) ?? frequency;
    }

    /// <summary><see cref="Frequency"/> of every pair of a head, (head_size / 2).</summary>
    public static float[] Frequencies(LlamaConfig config)
    {
        var frequencies = new float[config.HeadSize / 2];
        for (var pair = 0; pair < frequencies.Length; pair++)
            frequencies[pair] = Frequency(config, pair);
        return frequencies;
    }

    /// <summary>Fills a table with f(position · frequency), (max_seq_len, head_size / 2).</summary>
    /// <param name="table">max_seq_len · head_size / 2 values.</param>
    /// <param name="config">The model's shape.</param>
    /// <param name="f"><see cref="Sin"/> or <see cref="Cos"/>.</param>
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

    /// <summary>The cosine whose float32 rounding is PyTorch's on x86: at most 0.6 units in the last place from the true one.</summary>
    /// <param name="angle">At least 0.</param>
    /// <remarks>
    /// The tables of a version 0 file are what PyTorch's <c>cos</c> and <c>sin</c> gave, through MKL, which rounds about 6 % of the angles
    /// to the neighbour of the nearest float32. Evaluating the same short polynomial in double precision gives its bits for every angle below
    /// 10,000 that was tried (330,000, of heads 8 to 128 wide); a PyTorch built without MKL differs in about 3 %. Readers skip the tables.
    /// </remarks>
    public static double Cos(double angle)
    {
        var n = Math.Round(angle / Math.PI + 0.5);
        return SinOfReduced(angle, n - 0.5, odd: n % 2 != 0);
    }

    /// <summary>The sine beside <see cref="Cos"/>.</summary>
    /// <param name="angle">At least 0.</param>
    public static double Sin(double angle)
    {
        var n = Math.Round(angle / Math.PI);
        return SinOfReduced(angle, n, odd: n % 2 != 0);
    }

    // sin(angle - n·π), its sign turned where n is odd.
    private static double SinOfReduced(double angle, double n, bool odd)
    {
        var r = Math.FusedMultiplyAdd(-n, PiRest, Math.FusedMultiplyAdd(-n, Math.PI, angle));
        var r2 = r * r;
        var sin = r + r * (r2 * (A3 + r2 * (A5 + r2 * (A7 + r2 * A9))));
        return odd ? -sin : sin;
    }
}
