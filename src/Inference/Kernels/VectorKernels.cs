using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using LlamaFullstack.Core.Quantization;

namespace LlamaFullstack.Inference.Kernels;

/// <summary>The kernels for a register of any width: the same methods as <see cref="ScalarKernels"/>, in the same order.</summary>
/// <typeparam name="TLanes">float32 in this width.</typeparam>
/// <typeparam name="TVector">Its register.</typeparam>
/// <typeparam name="TInt8">int8 products, in the width that this processor does best.</typeparam>
/// <typeparam name="TInt32">Their register.</typeparam>
/// <param name="name">The set's name.</param>
/// <param name="narrow">The set for what is narrower than a register; in the end the scalar one.</param>
/// <remarks>One source for all widths, so that a set cannot differ from the others by mistake.</remarks>
internal sealed unsafe class VectorKernels<TLanes, TVector, TInt8, TInt32>(string name, KernelSet narrow) : KernelSet(name)
    where TLanes : struct, ILanes<TVector>
    where TVector : struct
    where TInt8 : struct, IInt8Lanes<TInt32>
    where TInt32 : struct
{
    // Sums of quantised values are taken in float32, exact to 2^24: 127 · 65,536 is below.
    private const int LargestGroup = 1 << 16;

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    internal override void MatVec(float* w, float* x, float* output, int rows, int cols)
    {
        if (cols < TLanes.Count)
        {
            narrow.MatVec(w, x, output, rows, cols);
            return;
        }
        for (var row = 0; row < rows; row++, w += cols)
            output[row] = Dot(w, x, cols);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    internal override void MatVecInt8(sbyte* w, float* wScales, Int8Vector x, float* output, int rows)
    {
        if (x.GroupSize % TInt8.Step != 0)
        {
            narrow.MatVecInt8(w, wScales, x, output, rows);
            return;
        }
        for (var row = 0; row < rows; row++, w += x.Length, wScales += x.Groups)
            output[row] = DotInt8(w, wScales, x);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    internal override void Quantize(float* x, Int8Vector q)
    {
        if (q.GroupSize % TLanes.Count != 0 || q.GroupSize > LargestGroup)
        {
            narrow.Quantize(x, q);
            return;
        }
        for (var group = 0; group < q.Groups; group++)
        {
            var from = x + group * q.GroupSize;
            var to = q.Values + group * q.GroupSize;
            var max = TLanes.Zero;
            for (var i = 0; i < q.GroupSize; i += TLanes.Count)
                max = TLanes.Max(max, TLanes.Abs(TLanes.Load(from + i)));

            var scale = q.Scales[group] = TLanes.MaxLane(max) / Int8Groups.MaxMagnitude;
            q.Sums[group] = scale is > 0 and < float.PositiveInfinity
                ? QuantizeGroup(from, to, q.GroupSize, scale)
                : Clear(to, q.GroupSize);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    internal override void RmsNorm(float* w, float* x, float* output, int n, float epsilon)
    {
        var squares = n < TLanes.Count ? 0f : Dot(x, x, n);
        var i = 0;
        if (n < TLanes.Count)
            for (; i < n; i++)
                squares += x[i] * x[i];

        var inverse = 1f / MathF.Sqrt(squares / n + epsilon);
        var inverses = TLanes.Broadcast(inverse);
        for (i = 0; i <= n - TLanes.Count; i += TLanes.Count)
            TLanes.Store(TLanes.Multiply(TLanes.Load(w + i), TLanes.Multiply(inverses, TLanes.Load(x + i))), output + i);
        for (; i < n; i++)
            output[i] = w[i] * (inverse * x[i]);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    internal override void Rope(float* x, float* cos, float* sin, int n)
    {
        var i = 0;
        for (; i <= n - TLanes.Count; i += TLanes.Count)
        {
            var v = TLanes.Load(x + i);
            var turned = TLanes.Multiply(TLanes.SwapPairs(v), TLanes.Load(sin + i));
            TLanes.Store(TLanes.MultiplyAdd(v, TLanes.Load(cos + i), turned), x + i);
        }
        if (i < n)
            narrow.Rope(x + i, cos + i, sin + i, n - i);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    internal override void AttentionScores(float* q, float* keys, float* scores, int count, int headSize)
    {
        var root = TLanes.Broadcast(MathF.Sqrt(headSize));
        for (var t = 0; t < count; t += KeyBlock, keys += KeyBlock * headSize)
        {
            for (var lane = 0; lane < KeyBlock; lane += TLanes.Count)
            {
                var score = TLanes.Zero;
                for (var i = 0; i < headSize; i++)
                    score = TLanes.MultiplyAdd(TLanes.Broadcast(q[i]), TLanes.Load(keys + i * KeyBlock + lane), score);
                TLanes.Store(TLanes.Divide(score, root), scores + t + lane);
            }
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    internal override void Softmax(float* x, int n)
    {
        if (n < TLanes.Count)
        {
            narrow.Softmax(x, n);
            return;
        }
        var last = n - TLanes.Count;
        var max = TLanes.Load(x + last);
        for (var i = 0; i < last; i += TLanes.Count)
            max = TLanes.Max(max, TLanes.Load(x + i));

        var greatest = TLanes.Broadcast(TLanes.MaxLane(max));
        var (sums, done) = (TLanes.Zero, 0);
        for (; done <= last; done += TLanes.Count)
        {
            var e = TLanes.Exp(TLanes.Subtract(TLanes.Load(x + done), greatest));
            TLanes.Store(e, x + done);
            sums = TLanes.Add(sums, e);
        }
        if (done < n)
        {
            // The last register overlaps what is done: only the new lanes count, and the store must not undo the others.
            var rest = n - done;
            var e = TLanes.Exp(TLanes.Subtract(TLanes.Load(x + last), greatest));
            var kept = stackalloc float[TLanes.Count];
            TLanes.Store(e, kept);
            Buffer.MemoryCopy(kept + TLanes.Count - rest, x + done, rest * sizeof(float), rest * sizeof(float));
            sums = TLanes.Add(sums, TLanes.KeepLast(e, rest));
        }

        var sum = TLanes.Sum(sums);
        var divisor = TLanes.Broadcast(sum);
        var j = 0;
        for (; j <= last; j += TLanes.Count)
            TLanes.Store(TLanes.Divide(TLanes.Load(x + j), divisor), x + j);
        for (; j < n; j++)
            x[j] /= sum;
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    internal override void AttentionSum(float* weights, float* values, float* output, int count, int headSize)
    {
        if (headSize < TLanes.Count)
        {
            narrow.AttentionSum(weights, values, output, count, headSize);
            return;
        }
        // The last register may overlap the one before, and then computes the same numbers again.
        for (var i = 0; i < headSize; i += TLanes.Count)
        {
            var at = Math.Min(i, headSize - TLanes.Count);
            TLanes.Store(WeightedColumn(weights, values + at, count, headSize), output + at);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    internal override void SwiGlu(float* gate, float* up, float* output, int n)
    {
        if (n < TLanes.Count)
        {
            narrow.SwiGlu(gate, up, output, n);
            return;
        }
        var one = TLanes.Broadcast(1f);
        for (var i = 0; i < n; i += TLanes.Count)
        {
            var at = Math.Min(i, n - TLanes.Count);
            var g = TLanes.Load(gate + at);
            var sigmoid = TLanes.Divide(one, TLanes.Add(one, TLanes.Exp(TLanes.Subtract(TLanes.Zero, g))));
            TLanes.Store(TLanes.Multiply(TLanes.Multiply(g, sigmoid), TLanes.Load(up + at)), output + at);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    internal override void Add(float* x, float* y, int n)
    {
        var i = 0;
        for (; i <= n - TLanes.Count; i += TLanes.Count)
            TLanes.Store(TLanes.Add(TLanes.Load(x + i), TLanes.Load(y + i)), x + i);
        for (; i < n; i++)
            x[i] += y[i];
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    internal override int ArgMax(float* x, int n)
    {
        if (n < TLanes.Count)
            return narrow.ArgMax(x, n);

        var last = n - TLanes.Count;
        var max = TLanes.Load(x + last);
        for (var i = 0; i < last; i += TLanes.Count)
            max = TLanes.Max(max, TLanes.Load(x + i));

        var greatest = TLanes.MaxLane(max);
        if (float.IsNaN(greatest))
            return -1;
        for (var i = 0; ; i = Math.Min(i + TLanes.Count, last))
        {
            var lane = TLanes.IndexOf(TLanes.Load(x + i), greatest);
            if (lane < TLanes.Count)
                return i + lane;
        }
    }

    /// <summary>Σ w[i] · x[i]; n is at least a register.</summary>
    /// <remarks>Four sums at once hide the latency of the addition: n·ε·Σ|w·x| holds for any order.</remarks>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static float Dot(float* w, float* x, int n)
    {
        var (a, b, c, d) = (TLanes.Zero, TLanes.Zero, TLanes.Zero, TLanes.Zero);
        var i = 0;
        for (; i <= n - 4 * TLanes.Count; i += 4 * TLanes.Count)
        {
            TLanes.Prefetch(w + i + Prefetching.Distance / sizeof(float));
            a = TLanes.MultiplyAdd(TLanes.Load(w + i), TLanes.Load(x + i), a);
            b = TLanes.MultiplyAdd(TLanes.Load(w + i + TLanes.Count), TLanes.Load(x + i + TLanes.Count), b);
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
        return TLanes.Sum(TLanes.Add(TLanes.Add(a, b), TLanes.Add(c, d)));
    }

    /// <summary>One row of <see cref="MatVecInt8"/>: totals of four groups at a time, added up one by one in runq.c's order.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static float DotInt8(sbyte* w, float* wScales, Int8Vector x)
    {
        var xi = x.Values;
        var n = x.GroupSize;
        var sum = 0f;
        var group = 0;
        for (; group <= x.Groups - 4; group += 4, w += 4 * n, xi += 4 * n)
        {
            for (var line = 0; line < 4 * n; line += 64)
                Prefetching.Line(w + line + Prefetching.Distance);
            var totals = TInt8.Totals(
                TInt8.Group(w, xi, x.Sums[group], n),
                TInt8.Group(w + n, xi + n, x.Sums[group + 1], n),
                TInt8.Group(w + 2 * n, xi + 2 * n, x.Sums[group + 2], n),
                TInt8.Group(w + 3 * n, xi + 3 * n, x.Sums[group + 3], n));
            var terms = Vector128.ConvertToSingle(totals) * Vector128.Load(wScales + group) * Vector128.Load(x.Scales + group);
            sum = sum + terms[0] + terms[1] + terms[2] + terms[3];
        }
        for (; group < x.Groups; group++, w += n, xi += n)
            sum += TInt8.Total(TInt8.Group(w, xi, x.Sums[group], n)) * Unsafe.ReadUnaligned<float>(wScales + group) * x.Scales[group];
        return sum;
    }

    private static int QuantizeGroup(float* from, sbyte* to, int n, float scale)
    {
        var (scales, limit) = (TLanes.Broadcast(scale), TLanes.Broadcast(Int8Groups.MaxMagnitude));
        var sum = TLanes.Zero;
        for (var i = 0; i < n; i += TLanes.Count)
        {
            var rounded = TLanes.Round(TLanes.Divide(TLanes.Load(from + i), scales));
            rounded = TLanes.Max(TLanes.Min(rounded, limit), TLanes.Subtract(TLanes.Zero, limit));
            TLanes.StoreInt8(rounded, to + i);
            sum = TLanes.Add(sum, rounded);
        }
        return (int)TLanes.Sum(sum);
    }

    private static int Clear(sbyte* to, int n)
    {
        new Span<sbyte>(to, n).Clear();
        return 0;
    }

    /// <summary>Σ weights[t] · values[t] for one register of columns, four positions at a time.</summary>
    private static TVector WeightedColumn(float* weights, float* values, int count, int stride)
    {
        var (a, b, c, d) = (TLanes.Zero, TLanes.Zero, TLanes.Zero, TLanes.Zero);
        var t = 0;
        for (; t <= count - 4; t += 4, values += 4 * stride)
        {
            a = TLanes.MultiplyAdd(TLanes.Broadcast(weights[t]), TLanes.Load(values), a);
            b = TLanes.MultiplyAdd(TLanes.Broadcast(weights[t + 1]), TLanes.Load(values + stride), b);
            c = TLanes.MultiplyAdd(TLanes.Broadcast(weights[t + 2]), TLanes.Load(values + 2 * stride), c);
            d = TLanes.MultiplyAdd(TLanes.Broadcast(weights[t + 3]), TLanes.Load(values + 3 * stride), d);
        }
        for (; t < count; t++, values += stride)
            a = TLanes.MultiplyAdd(TLanes.Broadcast(weights[t]), TLanes.Load(values), a);
        return TLanes.Add(TLanes.Add(a, b), TLanes.Add(c, d));
    }
}
