using System.Runtime.Intrinsics;
using LlamaFullstack.Inference.Kernels;

namespace LlamaFullstack.Inference.Tests;

/// <summary>Every float32 kernel of every set that this processor has, against the same mathematics in float64.</summary>
public sealed unsafe class KernelTests
{
    private static int Tile => KernelSet.Tile;
    private const double Epsilon = 1.0 / (1 << 24); // half an ulp of a float32 at 1
    private const double ExpError = 4 * Epsilon;    // exp within two ulps

    // On both sides of every register's width, of four of them, and the shapes of stories260K (64, 172) and 15M (288).
    private static readonly int[] Lengths = [1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 127, 128, 129, 172, 288];

    public static TheoryData<string> Sets => [.. KernelSets.Supported.Select(set => set.Name)];

    public static TheoryData<string> VectorSets => [.. KernelSets.Supported.Select(set => set.Name).Where(name => name != "scalar")];

    // A set's rows are those of one width and one kind of hints: the others of this processor's must be right, too.
    public static TheoryData<string> RowSets =>
        KernelSets.Has512 ? [.. KernelSets.Supported.Select(set => set.Name), "v512 by rows of 512 bits", "v512 by rows of 256 bits"] : Sets;

    private static KernelSet RowSet(string set) => set switch
    {
        "v512 by rows of 512 bits" => Set512(set, new Float32Rows<Lanes512, Vector512<float>, NearHints>()),
        "v512 by rows of 256 bits" => Set512(set, new Float32Rows<Lanes256, Vector256<float>, NearHints>()),
        _ => KernelSets.Select(set),
    };

    private static VectorKernels<Lanes512, Vector512<float>> Set512(string name, Float32Rows rows) =>
        new(name, KernelSets.Select("v256"), rows, KernelSets.Select("v256").Integer);

    [Theory, MemberData(nameof(RowSets))]
    public void MatVec_AnyShape_IsWithinItsSummationBound(string set) => ForEachLength(n =>
    {
        const int Rows = 131; // the longest are not few weights
        var (w, x, output) = (Values(Rows * n, 1), Values(n, 2), PinnedArray.Of<float>(Rows));
        RowSet(set).MatVec(w.Pointer(), x.Pointer(), output.Pointer(), Rows, n);
        for (var r = 0; r < Rows; r++)
        {
            var (exact, magnitude) = (0.0, 0.0);
            for (var i = 0; i < n; i++)
            {
                exact += (double)w[r * n + i] * x[i];
                magnitude += Math.Abs((double)w[r * n + i] * x[i]);
            }
            AssertNear(exact, output[r], (n + 1) * Epsilon * magnitude);
        }
    });

    [Theory, MemberData(nameof(RowSets))]
    public void MatVec_RowsTakenApart_GivesTheSameBits(string set) => ForEachLength(n =>
    {
        const int Rows = 136; // the longest are not few weights, and their parts are
        var kernels = RowSet(set);
        var (w, x, whole, parts) = (Values(Rows * n, 3), Values(n, 4), PinnedArray.Of<float>(Rows), PinnedArray.Of<float>(Rows));
        kernels.MatVec(w.Pointer(), x.Pointer(), whole.Pointer(), Rows, n);
        for (var start = 0; start < Rows; start += KernelSet.RowBlock)
            kernels.MatVec(w.Pointer() + start * n, x.Pointer(), parts.Pointer() + start, Math.Min(KernelSet.RowBlock, Rows - start), n);
        Assert.Equal(whole, parts);
    });

    [Theory, MemberData(nameof(Sets))]
    public void MatMul_AnyShapeAndStride_IsWithinItsSummationBound(string set) => ForEachLength(n =>
    {
        foreach (var rows in new[] { 1, 4, 7, 8, 13 })
        {
            foreach (var transposed in new[] { false, true })
            {
                var (w, x, output) = (Values(rows * n, 21), Values(n * Tile, 22), PinnedArray.Of<float>(rows * Tile));
                var (rowStride, colStride) = transposed ? (1, rows) : (n, 1);
                KernelSets.Select(set).MatMul(w.Pointer(), rowStride, colStride, x.Pointer(), output.Pointer(), rows, n, default);
                for (var r = 0; r < rows; r++)
                {
                    for (var t = 0; t < Tile; t += 5)
                    {
                        var (exact, magnitude) = (0.0, 0.0);
                        for (var i = 0; i < n; i++)
                        {
                            exact += (double)w[r * rowStride + i * colStride] * x[i * Tile + t];
                            magnitude += Math.Abs((double)w[r * rowStride + i * colStride] * x[i * Tile + t]);
                        }
                        AssertNear(exact, output[r * Tile + t], (n + 1) * Epsilon * magnitude);
                    }
                }
            }
        }
    });

    [Fact]
    public void Transposition_AnyShape_MovesEveryValueAndNoOther()
    {
        foreach (var rows in new[] { 1, 3, 4, 5, 8, 24 })
        {
            foreach (var cols in new[] { 1, 3, 4, 6, 32 })
            {
                const int Gap = 3;
                var (from, to) = (Values(rows * (cols + Gap), 43), PinnedArray.Of<float>(cols * (rows + Gap)));
                Transposition.Run(from.Pointer(), cols + Gap, to.Pointer(), rows + Gap, rows, cols);
                for (var i = 0; i < to.Length; i++)
                    Assert.Equal(i % (rows + Gap) < rows ? from[i % (rows + Gap) * (cols + Gap) + i / (rows + Gap)] : 0, to[i]);
            }
        }
    }

    [Theory, MemberData(nameof(Sets))]
    public void RmsNormTile_EveryToken_IsWithinItsBound(string set) => ForEachLength(n =>
    {
        var (w, x, output) = (Values(n, 23), Values(n * Tile, 24), PinnedArray.Of<float>(n * Tile));
        KernelSets.Select(set).RmsNormTile(w.Pointer(), x.Pointer(), output.Pointer(), n, 1e-5f);
        for (var t = 0; t < Tile; t++)
        {
            var inverse = 1 / Math.Sqrt(Enumerable.Range(0, n).Sum(i => (double)x[i * Tile + t] * x[i * Tile + t]) / n + 1e-5f);
            for (var i = 0; i < n; i++)
                AssertNear(w[i] * inverse * x[i * Tile + t], output[i * Tile + t], (n / 2.0 + 6) * Epsilon * Math.Abs(w[i] * inverse * x[i * Tile + t]));
        }
    });

    [Theory, MemberData(nameof(Sets))]
    public void RopeTile_EveryToken_TurnsEachPair(string set)
    {
        const int Pairs = 3;
        var (x, angles) = (Values(2 * Pairs * Tile, 25), Values(Pairs * Tile, 26));
        var (cos, sin) = (PinnedArray.Of(angles.Length, i => MathF.Cos(angles[i])), PinnedArray.Of(angles.Length, i => MathF.Sin(angles[i])));
        var before = (float[])x.Clone();
        KernelSets.Select(set).RopeTile(x.Pointer(), cos.Pointer(), sin.Pointer(), Pairs);
        for (var i = 0; i < Pairs * Tile; i++)
        {
            var (even, odd) = (i / Tile * 2 * Tile + i % Tile, (i / Tile * 2 + 1) * Tile + i % Tile);
            var magnitude = Math.Abs(before[even]) + Math.Abs(before[odd]);
            AssertNear((double)before[even] * cos[i] - (double)before[odd] * sin[i], x[even], 2 * Epsilon * magnitude);
            AssertNear((double)before[even] * sin[i] + (double)before[odd] * cos[i], x[odd], 2 * Epsilon * magnitude);
        }
    }

    [Theory, MemberData(nameof(Sets))]
    public void SoftmaxTile_EveryTokenWithHiddenScores_IsWithinItsBound(string set) => ForEachLength(n =>
    {
        const float Scale = 0.125f;
        var x = PinnedArray.Of(n * Tile, i => i / Tile > i % Tile ? float.NegativeInfinity : 160f * MathF.Sin(i * 1.7f) + 560f);
        var before = (float[])x.Clone();
        KernelSets.Select(set).SoftmaxTile(x.Pointer(), n, Scale);
        for (var t = 0; t < Tile; t++)
        {
            var scores = Enumerable.Range(0, n).Select(i => (double)before[i * Tile + t]).ToArray();
            var exps = scores.Select(v => Math.Exp(Scale * (v - scores.Max()))).ToArray();
            // The difference, up to 40 once it is scaled, is rounded twice before exp.
            var relative = 2 * (ExpError + 80 * Epsilon) + (n + 3) * Epsilon;
            for (var i = 0; i < n; i++)
                AssertNear(exps[i] / exps.Sum(), x[i * Tile + t], relative * exps[i] / exps.Sum());
        }
    });

    // Subnormal numbers take many times as long to make and to multiply: the values' products would, too.
    [Theory, MemberData(nameof(VectorSets))]
    public void SoftmaxTile_ScoresFarBelowTheGreatest_AreZeroNotSubnormal(string set)
    {
        var x = PinnedArray.Of(8 * Tile, i => -i / Tile * 14.5f);
        KernelSets.Select(set).SoftmaxTile(x.Pointer(), 8, 1f);
        Assert.DoesNotContain(x, float.IsSubnormal);
        Assert.Equal(0f, x[7 * Tile]);
        Assert.True(x[5 * Tile] > 0f);
    }

    [Theory, MemberData(nameof(Sets))]
    public void RmsNorm_AnyWidth_IsWithinItsBound(string set) => ForEachLength(n =>
    {
        var (w, x, output) = (Values(n, 5), Values(n, 6), PinnedArray.Of<float>(n));
        KernelSets.Select(set).RmsNorm(w.Pointer(), x.Pointer(), output.Pointer(), n, 1e-5f);
        var inverse = 1 / Math.Sqrt(x.Sum(v => (double)v * v) / n + 1e-5f);
        // The sum of squares has relative error n·ε, its root half of that; the root, the division and two products add one ε each.
        for (var i = 0; i < n; i++)
            AssertNear(w[i] * inverse * x[i], output[i], (n / 2.0 + 6) * Epsilon * Math.Abs(w[i] * inverse * x[i]));
    });

    [Theory, MemberData(nameof(Sets))]
    public void RmsNorm_InPlace_GivesTheSameBits(string set) => ForEachLength(n =>
    {
        var kernels = KernelSets.Select(set);
        var (w, x, output) = (Values(n, 7), Values(n, 8), PinnedArray.Of<float>(n));
        kernels.RmsNorm(w.Pointer(), x.Pointer(), output.Pointer(), n, 1e-5f);
        kernels.RmsNorm(w.Pointer(), x.Pointer(), x.Pointer(), n, 1e-5f);
        Assert.Equal(output, x);
    });

    [Theory, MemberData(nameof(Sets))]
    public void Rope_AnyWidth_TurnsEachPair(string set) => ForEachLength(half =>
    {
        var n = 2 * half;
        var (x, angles) = (Values(n, 9), Values(half, 10));
        var cos = PinnedArray.Of(n, i => MathF.Cos(angles[i / 2]));
        var sin = PinnedArray.Of(n, i => (i % 2 == 0 ? -1 : 1) * MathF.Sin(angles[i / 2]));
        var before = (float[])x.Clone();
        KernelSets.Select(set).Rope(x.Pointer(), cos.Pointer(), sin.Pointer(), n);
        for (var i = 0; i < n; i += 2)
        {
            double c = cos[i], s = sin[i + 1];
            var magnitude = Math.Abs(before[i]) + Math.Abs(before[i + 1]);
            AssertNear(before[i] * c - before[i + 1] * s, x[i], 2 * Epsilon * magnitude);
            AssertNear(before[i] * s + before[i + 1] * c, x[i + 1], 2 * Epsilon * magnitude);
        }
    });

    [Theory, MemberData(nameof(Sets))]
    public void AttentionScores_AnyCount_AreScaledProducts(string set) => ForEachLength(count =>
    {
        foreach (var headSize in new[] { 2, 6, 8, 48, 64 })
        {
            var blocks = KvCache.RoundUp(count);
            var (q, keys, scores) = (Values(headSize, 11), Values(blocks * headSize, 12), PinnedArray.Of<float>(blocks));
            KernelSets.Select(set).AttentionScores(q.Pointer(), keys.Pointer(), scores.Pointer(), count, headSize);
            for (var t = 0; t < count; t++)
            {
                var (exact, magnitude) = (0.0, 0.0);
                for (var i = 0; i < headSize; i++)
                {
                    var key = keys[t / KernelSet.KeyBlock * KernelSet.KeyBlock * headSize + i * KernelSet.KeyBlock + t % KernelSet.KeyBlock];
                    exact += (double)q[i] * key;
                    magnitude += Math.Abs((double)q[i] * key);
                }
                AssertNear(exact / Math.Sqrt(headSize), scores[t], (headSize + 4) * Epsilon * magnitude / Math.Sqrt(headSize));
            }
        }
    });

    [Theory, MemberData(nameof(Sets))]
    public void AttentionScores_BlocksTakenApart_GiveTheSameBits(string set) => ForEachLength(count =>
    {
        const int HeadSize = 64;
        var kernels = KernelSets.Select(set);
        var positions = KvCache.RoundUp(count);
        var (q, keys) = (Values(HeadSize, 11), Values(positions * HeadSize, 12));
        var (whole, parts) = (PinnedArray.Of<float>(positions), PinnedArray.Of<float>(positions));
        kernels.AttentionScores(q.Pointer(), keys.Pointer(), whole.Pointer(), count, HeadSize);
        for (var start = 0; start < count; start += KernelSet.KeyBlock)
            kernels.AttentionScores(q.Pointer(), keys.Pointer() + start * HeadSize, parts.Pointer() + start, Math.Min(KernelSet.KeyBlock, count - start), HeadSize);
        Assert.Equal(parts[..count], whole[..count]);
    });

    [Theory, MemberData(nameof(Sets))]
    public void Softmax_AnyLength_IsWithinItsBound(string set) => ForEachLength(n =>
    {
        var x = PinnedArray.Of(n, i => 20f * MathF.Sin(i * 1.7f) + 70f); // exp(90) alone would overflow
        var before = (float[])x.Clone();
        KernelSets.Select(set).Softmax(x.Pointer(), n);
        var max = before.Max();
        var exps = before.Select(v => Math.Exp((double)v - max)).ToArray();
        var sum = exps.Sum();
        for (var i = 0; i < n; i++)
        {
            // The difference is rounded before exp: at most ε·|difference| more.
            var relative = 2 * (ExpError + 40 * Epsilon) + (n + 2) * Epsilon;
            AssertNear(exps[i] / sum, x[i], relative * exps[i] / sum);
        }
    });

    [Theory, MemberData(nameof(Sets))]
    public void AttentionSum_AnyCount_IsWithinItsSummationBound(string set) => ForEachLength(count =>
    {
        foreach (var headSize in new[] { 2, 8, 12, 20, 48, 64, 80 })
        {
            var (weights, values, output) = (Values(count, 13), Values(count * headSize, 14), PinnedArray.Of<float>(headSize));
            KernelSets.Select(set).AttentionSum(weights.Pointer(), values.Pointer(), output.Pointer(), count, headSize);
            for (var i = 0; i < headSize; i++)
            {
                var (exact, magnitude) = (0.0, 0.0);
                for (var t = 0; t < count; t++)
                {
                    exact += (double)weights[t] * values[t * headSize + i];
                    magnitude += Math.Abs((double)weights[t] * values[t * headSize + i]);
                }
                AssertNear(exact, output[i], (count + 1) * Epsilon * magnitude);
            }
        }
    });

    [Theory, MemberData(nameof(Sets))]
    public void SwiGlu_AnyWidth_IsWithinItsBound(string set) => ForEachLength(n =>
    {
        var gate = PinnedArray.Of(n, i => 12f * MathF.Sin(i * 0.9f));
        var (up, output) = (Values(n, 15), PinnedArray.Of<float>(n));
        KernelSets.Select(set).SwiGlu(gate.Pointer(), up.Pointer(), output.Pointer(), n);
        for (var i = 0; i < n; i++)
        {
            var exact = gate[i] / (1 + Math.Exp(-(double)gate[i])) * up[i];
            AssertNear(exact, output[i], (ExpError + 5 * Epsilon) * Math.Abs(exact));
        }
    });

    [Theory, MemberData(nameof(Sets))]
    public void SwiGlu_ExtremeGates_GiveZeroOrTheGate(string set)
    {
        var gate = PinnedArray.Of(17, i => i % 2 == 0 ? 200f : -200f);
        var (up, output) = (PinnedArray.Of(17, _ => 1f), PinnedArray.Of<float>(17));
        KernelSets.Select(set).SwiGlu(gate.Pointer(), up.Pointer(), output.Pointer(), 17);
        Assert.Equal(gate.Select(g => Math.Max(g, 0f)), output.Select(Math.Abs));
    }

    [Theory, MemberData(nameof(Sets))]
    public void Add_AnyWidth_IsExact(string set) => ForEachLength(n =>
    {
        var (x, y) = (Values(n, 16), Values(n, 17));
        var expected = x.Zip(y, (a, b) => a + b).ToArray();
        KernelSets.Select(set).Add(x.Pointer(), y.Pointer(), n);
        Assert.Equal(expected, x);
    });

    [Theory, MemberData(nameof(Sets))]
    public void Add_Nothing_ChangesNothing(string set)
    {
        var x = Values(1, 18);
        KernelSets.Select(set).Add(x.Pointer(), x.Pointer(), 0);
        Assert.Equal(Values(1, 18), x);
    }

    [Theory, MemberData(nameof(Sets))]
    public void ArgMax_EveryPlaceAndTies_IsTheFirst(string set) => ForEachLength(n =>
    {
        var kernels = KernelSets.Select(set);
        for (var place = 0; place < n; place++)
        {
            var x = PinnedArray.Of(n, i => i >= place && i % 3 == place % 3 ? -1f : -2f);
            Assert.Equal(place, kernels.ArgMax(x.Pointer(), n));
            x[n - 1 - place] = float.NaN;
            Assert.Equal(-1, kernels.ArgMax(x.Pointer(), n));
        }
    });

    private static void ForEachLength(Action<int> test)
    {
        foreach (var length in Lengths)
            test(length);
    }

    private static float[] Values(int length, int seed)
    {
        var random = new Random(seed);
        return PinnedArray.Of(length, _ => 2 * random.NextSingle() - 1);
    }

    // The last term is for results that are denormal or zero.
    private static void AssertNear(double expected, float actual, double bound) =>
        Assert.True(Math.Abs(expected - actual) <= bound + float.Epsilon, $"expected {expected:R}, got {actual:R}, bound {bound:R}");
}
