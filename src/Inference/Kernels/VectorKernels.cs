using System.Runtime.CompilerServices;

namespace LlamaFullstack.Inference.Kernels;

/// <summary>The kernels for a register of any width: the same methods as <see cref="ScalarKernels"/>, in the same order.</summary>
/// <typeparam name="TLanes">float32 in this width.</typeparam>
/// <typeparam name="TVector">Its register.</typeparam>
/// <param name="name">The set's name.</param>
/// <param name="narrow">The set for what is narrower than a register; in the end the scalar one.</param>
/// <param name="float32Rows">Rows by a vector, in the width in which this processor reads memory fastest: no greater one than this.</param>
/// <param name="integer">The integer kernels, in the width that this processor does best.</param>
/// <remarks>One source for all widths, so that a set cannot differ from the others by mistake.</remarks>
internal sealed unsafe class VectorKernels<TLanes, TVector>(string name, KernelSet narrow, Float32Rows float32Rows, IntegerKernels integer) : KernelSet(name, integer)
    where TLanes : struct, ILanes<TVector>
    where TVector : struct
{
    internal override void MatVec(float* w, float* x, float* output, int rows, int cols)
    {
        if (cols < TLanes.Count)
            narrow.MatVec(w, x, output, rows, cols);
        else
            float32Rows.MatVec(w, x, output, rows, cols);
    }

    // Not inlined: a profile-guided caller would spread a copy of it over its own registers.
    [MethodImpl(MethodImplOptions.AggressiveOptimization | MethodImplOptions.NoInlining)]
    internal override void MatMul(float* w, int rowStride, int colStride, float* x, float* output, int rows, int cols, Upcoming next)
    {
        var turns = cols / 2;
        var perTurn = next.PerStep((long)Tile / (2 * TLanes.Count) * (rows / (TLanes.Registers >= 32 ? 12 : 6)) * turns);
        var ahead = perTurn > 0 ? next.Start : (byte*)x; // with nothing to ask for, for what is near: elsewhere it would be searched for
        for (var lane = 0; lane < Tile; lane += 2 * TLanes.Count)
        {
            var row = 0;
            if (TLanes.Registers >= 32)
                for (; row <= rows - 12; row += 12, ahead += turns * perTurn)
                    TwelveRows(w + (long)row * rowStride, rowStride, colStride, x + lane, output + row * Tile + lane, cols, ahead, perTurn);
            else if (TLanes.Count == 8) // SSE, which multiplies and adds in two steps, is slower by it
                for (; row <= rows - 6; row += 6, ahead += turns * perTurn)
                    SixRows(w + (long)row * rowStride, rowStride, colStride, x + lane, output + row * Tile + lane, cols, ahead, perTurn);
            for (; row <= rows - 4; row += 4)
                FourRows(w + (long)row * rowStride, rowStride, colStride, x + lane, output + row * Tile + lane, cols);
            for (; row < rows; row++)
                OneRow(w + (long)row * rowStride, colStride, x + lane, output + row * Tile + lane, cols);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    internal override void RmsNorm(float* w, float* x, float* output, int n, float epsilon)
    {
        var squares = n < TLanes.Count ? 0f : Float32Rows<TLanes, TVector, NoHints>.Dot(x, x, n);
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
        // Four whole blocks at once, far from each other, as rows in MatVec, where there are registers for their sums.
        var quarter = TLanes.Count == KeyBlock && headSize % 4 == 0 ? count / KeyBlock / 4 : 0;
        for (var block = 0; block < quarter; block++)
            FourBlocks(q, keys + block * KeyBlock * headSize, (nint)quarter * KeyBlock * headSize, scores + block * KeyBlock, quarter * KeyBlock, headSize, root);
        keys += 4 * (nint)quarter * KeyBlock * headSize;
        for (var t = 4 * quarter * KeyBlock; t < count; t += KeyBlock, keys += KeyBlock * headSize)
        {
            for (var lane = 0; lane < KeyBlock; lane += 2 * TLanes.Count)
            {
                // Four sums at once hide the latency of the addition; two registers of positions share a number of the query.
                var (a, b, c, d) = (TLanes.Zero, TLanes.Zero, TLanes.Zero, TLanes.Zero);
                var (e, f, g, h) = (TLanes.Zero, TLanes.Zero, TLanes.Zero, TLanes.Zero);
                var key = keys + lane;
                var i = 0;
                for (; i <= headSize - 4; i += 4, key += 4 * KeyBlock)
                {
                    AddScaledToTwo(q + i, key, ref a, ref e);
                    AddScaledToTwo(q + i + 1, key + KeyBlock, ref b, ref f);
                    AddScaledToTwo(q + i + 2, key + 2 * KeyBlock, ref c, ref g);
                    AddScaledToTwo(q + i + 3, key + 3 * KeyBlock, ref d, ref h);
                }
                for (; i < headSize; i++, key += KeyBlock)
                    AddScaledToTwo(q + i, key, ref a, ref e);
                TLanes.Store(TLanes.Divide(TLanes.Add(TLanes.Add(a, b), TLanes.Add(c, d)), root), scores + t + lane);
                if (TLanes.Count < KeyBlock)
                    TLanes.Store(TLanes.Divide(TLanes.Add(TLanes.Add(e, f), TLanes.Add(g, h)), root), scores + t + lane + TLanes.Count);
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
            max = TLanes.MaxOfNumbers(max, TLanes.Load(x + i));

        var greatest = TLanes.Broadcast(TLanes.MaxLane(max));
        var (sums, done) = (TLanes.Zero, 0);
        for (; done <= last; done += TLanes.Count)
        {
            var e = Exponential<TLanes, TVector>.Of(TLanes.Subtract(TLanes.Load(x + done), greatest));
            TLanes.Store(e, x + done);
            sums = TLanes.Add(sums, e);
        }
        if (done < n)
        {
            // The last register overlaps what is done: only the new lanes count, and the store must not undo the others.
            var rest = n - done;
            var e = Exponential<TLanes, TVector>.Of(TLanes.Subtract(TLanes.Load(x + last), greatest));
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
        // Four or eight registers of columns at once read a long context's values in the order of their addresses.
        var i = 0;
        if (TLanes.Count == 8)
            for (; i <= headSize - 8 * TLanes.Count; i += 8 * TLanes.Count)
                EightWeightedColumns(weights, values + i, output + i, count, headSize);
        for (; i <= headSize - 4 * TLanes.Count; i += 4 * TLanes.Count)
            if (TLanes.Registers >= 32)
                WeightedColumnsInFourPlaces(4, weights, values + i, output + i, count, headSize);
            else
                FourWeightedColumns(weights, values + i, output + i, count, headSize);
        if (TLanes.Registers >= 32 && headSize - i >= 3 * TLanes.Count) // heads of 48, as 15M has
        {
            WeightedColumnsInFourPlaces(3, weights, values + i, output + i, count, headSize);
            i += 3 * TLanes.Count;
        }
        else if (TLanes.Registers >= 32 && headSize - i >= 2 * TLanes.Count)
        {
            WeightedColumnsInFourPlaces(2, weights, values + i, output + i, count, headSize);
            i += 2 * TLanes.Count;
        }
        // The last register may overlap the one before, and then computes the same numbers again.
        for (; i < headSize; i += TLanes.Count)
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
            var sigmoid = TLanes.Divide(one, TLanes.Add(one, Exponential<TLanes, TVector>.Of(TLanes.Subtract(TLanes.Zero, g))));
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
    internal override void RmsNormTile(float* w, float* x, float* output, int n, float epsilon)
    {
        // Two registers at once, here and in softmax: one sum or maximum would wait for itself at every step.
        for (var lane = 0; lane < Tile; lane += 2 * TLanes.Count)
        {
            var (a, b) = (TLanes.Zero, TLanes.Zero);
            for (var i = 0; i < n; i++)
            {
                var (x0, x1) = LoadTwo(x + i * Tile + lane);
                (a, b) = (TLanes.MultiplyAdd(x0, x0, a), TLanes.MultiplyAdd(x1, x1, b));
            }
            (a, b) = (InverseRoot(a, n, epsilon), InverseRoot(b, n, epsilon));
            for (var i = 0; i < n; i++)
            {
                var weight = TLanes.Broadcast(w[i]);
                var (x0, x1) = LoadTwo(x + i * Tile + lane);
                StoreTwo(TLanes.Multiply(weight, TLanes.Multiply(a, x0)), TLanes.Multiply(weight, TLanes.Multiply(b, x1)), output + i * Tile + lane);
            }
        }
    }

    /// <summary>1 / sqrt(squares / n + ε).</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static TVector InverseRoot(TVector squares, int n, float epsilon) =>
        TLanes.Divide(TLanes.Broadcast(1f), TLanes.Sqrt(TLanes.Add(TLanes.Divide(squares, TLanes.Broadcast(n)), TLanes.Broadcast(epsilon))));

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    internal override void RopeTile(float* x, float* cos, float* sin, int pairs)
    {
        for (var pair = 0; pair < pairs; pair++, x += 2 * Tile, cos += Tile, sin += Tile)
        {
            for (var lane = 0; lane < Tile; lane += TLanes.Count)
            {
                var (x0, x1) = (TLanes.Load(x + lane), TLanes.Load(x + Tile + lane));
                var (c, s) = (TLanes.Load(cos + lane), TLanes.Load(sin + lane));
                TLanes.Store(TLanes.Subtract(TLanes.Multiply(x0, c), TLanes.Multiply(x1, s)), x + lane);
                TLanes.Store(TLanes.MultiplyAdd(x0, s, TLanes.Multiply(x1, c)), x + Tile + lane);
            }
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    internal override void SoftmaxTile(float* x, int n, float scale)
    {
        var scales = TLanes.Broadcast(scale);
        for (var lane = 0; lane < Tile; lane += 2 * TLanes.Count)
        {
            var (max0, max1) = LoadTwo(x + lane);
            for (var i = 1; i < n; i++)
            {
                var (x0, x1) = LoadTwo(x + i * Tile + lane);
                (max0, max1) = (TLanes.MaxOfNumbers(max0, x0), TLanes.MaxOfNumbers(max1, x1));
            }
            var (a, b) = (TLanes.Zero, TLanes.Zero);
            for (var i = 0; i < n; i++)
            {
                var (x0, x1) = LoadTwo(x + i * Tile + lane);
                x0 = Exponential<TLanes, TVector>.Of(TLanes.Multiply(TLanes.Subtract(x0, max0), scales));
                x1 = Exponential<TLanes, TVector>.Of(TLanes.Multiply(TLanes.Subtract(x1, max1), scales));
                StoreTwo(x0, x1, x + i * Tile + lane);
                (a, b) = (TLanes.Add(a, x0), TLanes.Add(b, x1));
            }
            var one = TLanes.Broadcast(1f);
            (a, b) = (TLanes.Divide(one, a), TLanes.Divide(one, b));
            for (var i = 0; i < n; i++)
            {
                var (x0, x1) = LoadTwo(x + i * Tile + lane);
                StoreTwo(TLanes.Multiply(x0, a), TLanes.Multiply(x1, b), x + i * Tile + lane);
            }
        }
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

    /// <summary>Twelve rows by two registers of tokens: fourteen loads feed twenty-four products.</summary>
    /// <remarks>Two columns a step: where another thread shares the core, instructions are what bounds this, 1.15 times over eight rows and one column.</remarks>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void TwelveRows(float* w, nint rowStride, nint colStride, float* x, float* output, int cols, byte* ahead, nint perTurn)
    {
        var (a0, a1, b0, b1) = (TLanes.Zero, TLanes.Zero, TLanes.Zero, TLanes.Zero);
        var (c0, c1, d0, d1) = (TLanes.Zero, TLanes.Zero, TLanes.Zero, TLanes.Zero);
        var (e0, e1, f0, f1) = (TLanes.Zero, TLanes.Zero, TLanes.Zero, TLanes.Zero);
        var (g0, g1, h0, h1) = (TLanes.Zero, TLanes.Zero, TLanes.Zero, TLanes.Zero);
        var (i0, i1, j0, j1) = (TLanes.Zero, TLanes.Zero, TLanes.Zero, TLanes.Zero);
        var (k0, k1, l0, l1) = (TLanes.Zero, TLanes.Zero, TLanes.Zero, TLanes.Zero);
        var (second, third) = (2 * rowStride, 3 * rowStride);
        var v = w + 4 * rowStride;
        var u = w + 8 * rowStride;
        var end = x + cols * Tile;
        for (var pairs = x + cols / 2 * 2 * Tile; x < pairs; w += colStride, v += colStride, u += colStride, x += 2 * Tile, ahead += perTurn)
        {
            Prefetching.TwoFarLines(ahead);
            var (x0, x1) = LoadTwo(x);
            AddFour(w, rowStride, second, third, x0, x1, ref a0, ref a1, ref b0, ref b1, ref c0, ref c1, ref d0, ref d1);
            AddFour(v, rowStride, second, third, x0, x1, ref e0, ref e1, ref f0, ref f1, ref g0, ref g1, ref h0, ref h1);
            AddFour(u, rowStride, second, third, x0, x1, ref i0, ref i1, ref j0, ref j1, ref k0, ref k1, ref l0, ref l1);
            w += colStride;
            v += colStride;
            u += colStride;
            (x0, x1) = LoadTwo(x + Tile);
            AddFour(w, rowStride, second, third, x0, x1, ref a0, ref a1, ref b0, ref b1, ref c0, ref c1, ref d0, ref d1);
            AddFour(v, rowStride, second, third, x0, x1, ref e0, ref e1, ref f0, ref f1, ref g0, ref g1, ref h0, ref h1);
            AddFour(u, rowStride, second, third, x0, x1, ref i0, ref i1, ref j0, ref j1, ref k0, ref k1, ref l0, ref l1);
        }
        if (x < end)
        {
            var (x0, x1) = LoadTwo(x);
            AddFour(w, rowStride, second, third, x0, x1, ref a0, ref a1, ref b0, ref b1, ref c0, ref c1, ref d0, ref d1);
            AddFour(v, rowStride, second, third, x0, x1, ref e0, ref e1, ref f0, ref f1, ref g0, ref g1, ref h0, ref h1);
            AddFour(u, rowStride, second, third, x0, x1, ref i0, ref i1, ref j0, ref j1, ref k0, ref k1, ref l0, ref l1);
        }
        StoreFour(a0, a1, b0, b1, c0, c1, d0, d1, output);
        StoreFour(e0, e1, f0, f1, g0, g1, h0, h1, output + 4 * Tile);
        StoreFour(i0, i1, j0, j1, k0, k1, l0, l1, output + 8 * Tile);
    }

    /// <summary>Six rows: with two registers of tokens and a weight, what sixteen registers have room for. 1.4 times as fast as four rows.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void SixRows(float* w, nint rowStride, nint colStride, float* x, float* output, int cols, byte* ahead, nint perTurn)
    {
        var (a0, a1, b0, b1) = (TLanes.Zero, TLanes.Zero, TLanes.Zero, TLanes.Zero);
        var (c0, c1, d0, d1) = (TLanes.Zero, TLanes.Zero, TLanes.Zero, TLanes.Zero);
        var (e0, e1, f0, f1) = (TLanes.Zero, TLanes.Zero, TLanes.Zero, TLanes.Zero);
        var (second, third, fourth, fifth) = (2 * rowStride, 3 * rowStride, 4 * rowStride, 5 * rowStride);
        var end = x + cols * Tile;
        for (var pairs = x + cols / 2 * 2 * Tile; x < pairs; w += colStride, x += 2 * Tile, ahead += perTurn)
        {
            Prefetching.TwoFarLines(ahead);
            var (x0, x1) = LoadTwo(x);
            AddFour(w, rowStride, second, third, x0, x1, ref a0, ref a1, ref b0, ref b1, ref c0, ref c1, ref d0, ref d1);
            AddTwo(w, fourth, fifth, x0, x1, ref e0, ref e1, ref f0, ref f1);
            w += colStride;
            (x0, x1) = LoadTwo(x + Tile);
            AddFour(w, rowStride, second, third, x0, x1, ref a0, ref a1, ref b0, ref b1, ref c0, ref c1, ref d0, ref d1);
            AddTwo(w, fourth, fifth, x0, x1, ref e0, ref e1, ref f0, ref f1);
        }
        if (x < end)
        {
            var (x0, x1) = LoadTwo(x);
            AddFour(w, rowStride, second, third, x0, x1, ref a0, ref a1, ref b0, ref b1, ref c0, ref c1, ref d0, ref d1);
            AddTwo(w, fourth, fifth, x0, x1, ref e0, ref e1, ref f0, ref f1);
        }
        StoreFour(a0, a1, b0, b1, c0, c1, d0, d1, output);
        StoreTwo(e0, e1, output + 4 * Tile);
        StoreTwo(f0, f1, output + 5 * Tile);
    }

    /// <summary>Four rows: the rest of six or twelve, and all of SSE's.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void FourRows(float* w, nint rowStride, nint colStride, float* x, float* output, int cols)
    {
        var (a0, a1, b0, b1) = (TLanes.Zero, TLanes.Zero, TLanes.Zero, TLanes.Zero);
        var (c0, c1, d0, d1) = (TLanes.Zero, TLanes.Zero, TLanes.Zero, TLanes.Zero);
        var (second, third) = (2 * rowStride, 3 * rowStride);
        for (var end = x + cols * Tile; x < end; w += colStride, x += Tile)
        {
            var (x0, x1) = LoadTwo(x);
            AddFour(w, rowStride, second, third, x0, x1, ref a0, ref a1, ref b0, ref b1, ref c0, ref c1, ref d0, ref d1);
        }
        StoreFour(a0, a1, b0, b1, c0, c1, d0, d1, output);
    }

    /// <summary>A column's products of four rows. Takes its activations: loaded in each of several such calls they would be copied, or spilled, at each column.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void AddFour(float* w, nint rowStride, nint second, nint third, TVector x0, TVector x1, ref TVector a0, ref TVector a1,
        ref TVector b0, ref TVector b1, ref TVector c0, ref TVector c1, ref TVector d0, ref TVector d1)
    {
        var weight = TLanes.Broadcast(*w);
        a0 = TLanes.MultiplyAdd(weight, x0, a0);
        a1 = TLanes.MultiplyAdd(weight, x1, a1);
        weight = TLanes.Broadcast(w[rowStride]);
        b0 = TLanes.MultiplyAdd(weight, x0, b0);
        b1 = TLanes.MultiplyAdd(weight, x1, b1);
        weight = TLanes.Broadcast(w[second]);
        c0 = TLanes.MultiplyAdd(weight, x0, c0);
        c1 = TLanes.MultiplyAdd(weight, x1, c1);
        weight = TLanes.Broadcast(w[third]);
        d0 = TLanes.MultiplyAdd(weight, x0, d0);
        d1 = TLanes.MultiplyAdd(weight, x1, d1);
    }

    /// <summary>A column's products of two rows more.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void AddTwo(float* w, nint fourth, nint fifth, TVector x0, TVector x1, ref TVector e0, ref TVector e1, ref TVector f0, ref TVector f1)
    {
        var weight = TLanes.Broadcast(w[fourth]);
        e0 = TLanes.MultiplyAdd(weight, x0, e0);
        e1 = TLanes.MultiplyAdd(weight, x1, e1);
        weight = TLanes.Broadcast(w[fifth]);
        f0 = TLanes.MultiplyAdd(weight, x0, f0);
        f1 = TLanes.MultiplyAdd(weight, x1, f1);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void StoreFour(TVector a0, TVector a1, TVector b0, TVector b1, TVector c0, TVector c1, TVector d0, TVector d1, float* to)
    {
        StoreTwo(a0, a1, to);
        StoreTwo(b0, b1, to + Tile);
        StoreTwo(c0, c1, to + 2 * Tile);
        StoreTwo(d0, d1, to + 3 * Tile);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void OneRow(float* w, nint colStride, float* x, float* output, int cols)
    {
        var (a0, a1) = (TLanes.Zero, TLanes.Zero);
        for (var i = 0; i < cols; i++, w += colStride, x += Tile)
        {
            var weight = TLanes.Broadcast(*w);
            a0 = TLanes.MultiplyAdd(weight, TLanes.Load(x), a0);
            a1 = TLanes.MultiplyAdd(weight, TLanes.Load(x + TLanes.Count), a1);
        }
        StoreTwo(a0, a1, output);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static (TVector First, TVector Second) LoadTwo(float* from) => (TLanes.Load(from), TLanes.Load(from + TLanes.Count));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void StoreTwo(TVector first, TVector second, float* to)
    {
        TLanes.Store(first, to);
        TLanes.Store(second, to + TLanes.Count);
    }

    /// <summary>Scores of four blocks of keys, <paramref name="apart"/> numbers from one to the next: the same bits as of one.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void FourBlocks(float* q, float* keys, nint apart, float* scores, nint scoresApart, int headSize, TVector root)
    {
        var (a0, a1, a2, a3) = (TLanes.Zero, TLanes.Zero, TLanes.Zero, TLanes.Zero);
        var (b0, b1, b2, b3) = (TLanes.Zero, TLanes.Zero, TLanes.Zero, TLanes.Zero);
        var (c0, c1, c2, c3) = (TLanes.Zero, TLanes.Zero, TLanes.Zero, TLanes.Zero);
        var (d0, d1, d2, d3) = (TLanes.Zero, TLanes.Zero, TLanes.Zero, TLanes.Zero);
        for (var i = 0; i < headSize; i += 4, keys += 4 * KeyBlock)
        {
            AddScaled(q + i, keys, apart, ref a0, ref b0, ref c0, ref d0);
            AddScaled(q + i + 1, keys + KeyBlock, apart, ref a1, ref b1, ref c1, ref d1);
            AddScaled(q + i + 2, keys + 2 * KeyBlock, apart, ref a2, ref b2, ref c2, ref d2);
            AddScaled(q + i + 3, keys + 3 * KeyBlock, apart, ref a3, ref b3, ref c3, ref d3);
        }
        TLanes.Store(TLanes.Divide(TLanes.Add(TLanes.Add(a0, a1), TLanes.Add(a2, a3)), root), scores);
        TLanes.Store(TLanes.Divide(TLanes.Add(TLanes.Add(b0, b1), TLanes.Add(b2, b3)), root), scores + scoresApart);
        TLanes.Store(TLanes.Divide(TLanes.Add(TLanes.Add(c0, c1), TLanes.Add(c2, c3)), root), scores + 2 * scoresApart);
        TLanes.Store(TLanes.Divide(TLanes.Add(TLanes.Add(d0, d1), TLanes.Add(d2, d3)), root), scores + 3 * scoresApart);
    }

    /// <summary>A number's products with four registers, <paramref name="apart"/> numbers from one to the next.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void AddScaled(float* number, float* from, nint apart, ref TVector a, ref TVector b, ref TVector c, ref TVector d)
    {
        var x = TLanes.Broadcast(*number);
        a = TLanes.MultiplyAdd(x, TLanes.Load(from), a);
        b = TLanes.MultiplyAdd(x, TLanes.Load(from + apart), b);
        c = TLanes.MultiplyAdd(x, TLanes.Load(from + 2 * apart), c);
        d = TLanes.MultiplyAdd(x, TLanes.Load(from + 3 * apart), d);
    }

    /// <summary>A number's products with two neighbouring registers of a block of keys, or with the one that it has.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void AddScaledToTwo(float* number, float* from, ref TVector a, ref TVector b)
    {
        var x = TLanes.Broadcast(*number);
        a = TLanes.MultiplyAdd(x, TLanes.Load(from), a);
        if (TLanes.Count < KeyBlock)
            b = TLanes.MultiplyAdd(x, TLanes.Load(from + TLanes.Count), b);
    }

    /// <summary>Σ weights[t] · values[t] for four registers of columns.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void FourWeightedColumns(float* weights, float* values, float* output, int count, int stride)
    {
        var (a, b, c, d) = (TLanes.Zero, TLanes.Zero, TLanes.Zero, TLanes.Zero);
        for (var t = 0; t < count; t++, values += stride)
            AddScaled(weights + t, values, TLanes.Count, ref a, ref b, ref c, ref d);
        TLanes.Store(a, output);
        TLanes.Store(b, output + TLanes.Count);
        TLanes.Store(c, output + 2 * TLanes.Count);
        TLanes.Store(d, output + 3 * TLanes.Count);
    }

    /// <summary>The same for eight registers.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void EightWeightedColumns(float* weights, float* values, float* output, int count, int stride)
    {
        var (a, b, c, d) = (TLanes.Zero, TLanes.Zero, TLanes.Zero, TLanes.Zero);
        var (e, f, g, h) = (TLanes.Zero, TLanes.Zero, TLanes.Zero, TLanes.Zero);
        for (var t = 0; t < count; t++, values += stride)
        {
            AddScaled(weights + t, values, TLanes.Count, ref a, ref b, ref c, ref d);
            AddScaled(weights + t, values + 4 * TLanes.Count, TLanes.Count, ref e, ref f, ref g, ref h);
        }
        StoreTwo(a, b, output);
        StoreTwo(c, d, output + 2 * TLanes.Count);
        StoreTwo(e, f, output + 4 * TLanes.Count);
        StoreTwo(g, h, output + 6 * TLanes.Count);
    }

    /// <summary>The same for two to four registers, a quarter of the positions in each of four places at once: memory is read faster so.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void WeightedColumnsInFourPlaces(int registers, float* weights, float* values, float* output, int count, int stride)
    {
        nint quarter = count / 4;
        var apart = quarter * stride;
        var (a0, a1, a2, a3) = (TLanes.Zero, TLanes.Zero, TLanes.Zero, TLanes.Zero);
        var (b0, b1, b2, b3) = (TLanes.Zero, TLanes.Zero, TLanes.Zero, TLanes.Zero);
        var (c0, c1, c2, c3) = (TLanes.Zero, TLanes.Zero, TLanes.Zero, TLanes.Zero);
        var (d0, d1, d2, d3) = (TLanes.Zero, TLanes.Zero, TLanes.Zero, TLanes.Zero);
        for (nint t = 0; t < quarter; t++, values += stride)
        {
            AddScaled(registers, weights + t, values, ref a0, ref a1, ref a2, ref a3);
            AddScaled(registers, weights + t + quarter, values + apart, ref b0, ref b1, ref b2, ref b3);
            AddScaled(registers, weights + t + 2 * quarter, values + 2 * apart, ref c0, ref c1, ref c2, ref c3);
            AddScaled(registers, weights + t + 3 * quarter, values + 3 * apart, ref d0, ref d1, ref d2, ref d3);
        }
        values += 3 * apart;
        for (var t = 4 * quarter; t < count; t++, values += stride)
            AddScaled(registers, weights + t, values, ref a0, ref a1, ref a2, ref a3);
        TLanes.Store(TLanes.Add(TLanes.Add(a0, b0), TLanes.Add(c0, d0)), output);
        TLanes.Store(TLanes.Add(TLanes.Add(a1, b1), TLanes.Add(c1, d1)), output + TLanes.Count);
        if (registers > 2)
            TLanes.Store(TLanes.Add(TLanes.Add(a2, b2), TLanes.Add(c2, d2)), output + 2 * TLanes.Count);
        if (registers > 3)
            TLanes.Store(TLanes.Add(TLanes.Add(a3, b3), TLanes.Add(c3, d3)), output + 3 * TLanes.Count);
    }

    /// <summary>A number's products with two to four neighbouring registers.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void AddScaled(int registers, float* number, float* from, ref TVector a, ref TVector b, ref TVector c, ref TVector d)
    {
        var x = TLanes.Broadcast(*number);
        a = TLanes.MultiplyAdd(x, TLanes.Load(from), a);
        b = TLanes.MultiplyAdd(x, TLanes.Load(from + TLanes.Count), b);
        if (registers > 2)
            c = TLanes.MultiplyAdd(x, TLanes.Load(from + 2 * TLanes.Count), c);
        if (registers > 3)
            d = TLanes.MultiplyAdd(x, TLanes.Load(from + 3 * TLanes.Count), d);
    }

    /// <summary>Σ weights[t] · values[t] for one register of columns, four positions at a time.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
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
