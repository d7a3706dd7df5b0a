using System.Runtime.CompilerServices;

namespace LlamaFullstack.Inference.Kernels;

/// <summary>Rows of float32 weights by one vector.</summary>
internal abstract unsafe class Float32Rows
{
    /// <inheritdoc cref="KernelSet.MatVec"/>
    internal abstract void MatVec(float* w, float* x, float* output, int rows, int cols);
}

/// <summary>The same, for rows of at least a register.</summary>
/// <typeparam name="TLanes">float32 in one width.</typeparam>
/// <typeparam name="TVector">Its register.</typeparam>
/// <typeparam name="THints">What suits this processor's memory system.</typeparam>
internal sealed unsafe class Float32Rows<TLanes, TVector, THints> : Float32Rows
    where TLanes : struct, ILanes<TVector>
    where TVector : struct
    where THints : struct, IHints
{
    // Hints hold up what is in the second cache, where all matrices of stories260K lie: no part of one of 15M is so small on two threads.
    private const int FewWeights = 1 << 15;

    // Sums in flight of a row: with those of four rows at once, what the registers have room for.
    private static int Sums
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => TLanes.Count == 8 ? 2 : 4;
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    internal override void MatVec(float* w, float* x, float* output, int rows, int cols)
    {
        // Four rows at once, far from each other: memory is read in four places, 1.3 to 1.7 times as fast as in one (docs/LOG.md). Not measured on Arm; with SSE a row keeps four sums for its accuracy, for which sixteen registers have no room in four rows.
        var quarter = TLanes.Count >= 8 ? rows / 4 : 0;
        var isFew = (long)rows * cols <= FewWeights;
        for (var row = 0; row < quarter; row++)
        {
            if (isFew)
                FourDots<NoHints>(w + (long)row * cols, (nint)quarter * cols, x, output + row, quarter, cols);
            else
                FourDots<THints>(w + (long)row * cols, (nint)quarter * cols, x, output + row, quarter, cols);
        }
        for (var row = 4 * quarter; row < rows; row++)
            output[row] = Dot(w + (long)row * cols, x, cols);
    }

    /// <summary>Σ w[i] · x[i]; n is at least a register.</summary>
    /// <remarks>Several sums at once hide the latency of the addition: n·ε·Σ|w·x| holds for any order.</remarks>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static float Dot(float* w, float* x, int n)
    {
        var (a, b, c, d) = (TLanes.Zero, TLanes.Zero, TLanes.Zero, TLanes.Zero);
        var i = 0;
        for (; i <= n - Sums * TLanes.Count; i += Sums * TLanes.Count)
        {
            a = TLanes.MultiplyAdd(TLanes.Load(w + i), TLanes.Load(x + i), a);
            b = TLanes.MultiplyAdd(TLanes.Load(w + i + TLanes.Count), TLanes.Load(x + i + TLanes.Count), b);
            if (Sums == 2)
                continue;
            c = TLanes.MultiplyAdd(TLanes.Load(w + i + 2 * TLanes.Count), TLanes.Load(x + i + 2 * TLanes.Count), c);
            d = TLanes.MultiplyAdd(TLanes.Load(w + i + 3 * TLanes.Count), TLanes.Load(x + i + 3 * TLanes.Count), d);
        }
        for (; i <= n - TLanes.Count; i += TLanes.Count)
            a = TLanes.MultiplyAdd(TLanes.Load(w + i), TLanes.Load(x + i), a);
        if (i < n)
        {
            // The last register overlaps what has been counted: those lanes are cleared. 2.4x at hidden_dim 172 over single steps.
            var at = n - TLanes.Count;
            b = TLanes.MultiplyAdd(TLanes.KeepLast(TLanes.Load(w + at), n - i), TLanes.Load(x + at), b);
        }
        return SumOf(a, b, c, d);
    }

    /// <summary><see cref="Dot"/> of four rows, <paramref name="apart"/> numbers from one to the next: the same bits.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void FourDots<TAsked>(float* w, nint apart, float* x, float* output, nint outputApart, int n) where TAsked : struct, IHints
    {
        var v = w + apart;
        var u = v + apart;
        var t = u + apart;
        var (a0, a1, a2, a3) = (TLanes.Zero, TLanes.Zero, TLanes.Zero, TLanes.Zero);
        var (b0, b1, b2, b3) = (TLanes.Zero, TLanes.Zero, TLanes.Zero, TLanes.Zero);
        var (c0, c1, c2, c3) = (TLanes.Zero, TLanes.Zero, TLanes.Zero, TLanes.Zero);
        var (d0, d1, d2, d3) = (TLanes.Zero, TLanes.Zero, TLanes.Zero, TLanes.Zero);
        var i = 0;
        for (; i <= n - Sums * TLanes.Count; i += Sums * TLanes.Count)
        {
            AddProducts<TAsked>(w + i, apart, x + i, ref a0, ref b0, ref c0, ref d0);
            AddProducts<TAsked>(w + i + TLanes.Count, apart, x + i + TLanes.Count, ref a1, ref b1, ref c1, ref d1);
            if (Sums == 2)
                continue;
            AddProducts<TAsked>(w + i + 2 * TLanes.Count, apart, x + i + 2 * TLanes.Count, ref a2, ref b2, ref c2, ref d2);
            AddProducts<TAsked>(w + i + 3 * TLanes.Count, apart, x + i + 3 * TLanes.Count, ref a3, ref b3, ref c3, ref d3);
        }
        for (; i <= n - TLanes.Count; i += TLanes.Count)
            AddProducts<TAsked>(w + i, apart, x + i, ref a0, ref b0, ref c0, ref d0);
        if (i < n)
        {
            var at = n - TLanes.Count;
            var xi = TLanes.Load(x + at);
            a1 = TLanes.MultiplyAdd(TLanes.KeepLast(TLanes.Load(w + at), n - i), xi, a1);
            b1 = TLanes.MultiplyAdd(TLanes.KeepLast(TLanes.Load(v + at), n - i), xi, b1);
            c1 = TLanes.MultiplyAdd(TLanes.KeepLast(TLanes.Load(u + at), n - i), xi, c1);
            d1 = TLanes.MultiplyAdd(TLanes.KeepLast(TLanes.Load(t + at), n - i), xi, d1);
        }
        output[0] = SumOf(a0, a1, a2, a3);
        output[outputApart] = SumOf(b0, b1, b2, b3);
        output[2 * outputApart] = SumOf(c0, c1, c2, c3);
        output[3 * outputApart] = SumOf(d0, d1, d2, d3);
    }

    /// <summary>A register of each of four rows, one after the other: memory is then read in four places at a time, not in one after another.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void AddProducts<TAsked>(float* w, nint apart, float* x, ref TVector a, ref TVector b, ref TVector c, ref TVector d) where TAsked : struct, IHints
    {
        var xi = TLanes.Load(x);
        a = MultiplyAdd<TAsked>(w, xi, a);
        b = MultiplyAdd<TAsked>(w + apart, xi, b);
        c = MultiplyAdd<TAsked>(w + 2 * apart, xi, c);
        d = MultiplyAdd<TAsked>(w + 3 * apart, xi, d);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static TVector MultiplyAdd<TAsked>(float* w, TVector x, TVector sum) where TAsked : struct, IHints
    {
        TAsked.Ask((byte*)w + TAsked.Distance);
        return TLanes.MultiplyAdd(TLanes.Load(w), x, sum);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static float SumOf(TVector a, TVector b, TVector c, TVector d) =>
        TLanes.Sum(Sums == 2 ? TLanes.Add(a, b) : TLanes.Add(TLanes.Add(a, b), TLanes.Add(c, d)));
}
