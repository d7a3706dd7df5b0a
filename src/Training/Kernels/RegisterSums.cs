using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace LlamaFullstack.Training.Kernels;

/// <summary>Rows of C = A · B whose sums stay in registers: three rows by four of the sixteen registers of 256 or 128 bits, six rows by four of the 32 of 512 bits.</summary>
/// <remarks>
/// So 12 sums are fed by 7 loads, 24 by 10. .NET's own type of a register is a type parameter here: a struct around it costs a move for each second product
/// (docs/LOG.md). A value of C is one sum in the order of <c>inner</c>, whatever rows and columns are computed with it.
/// </remarks>
internal static unsafe class RegisterSums
{
    /// <summary>C = Σ A · B or C += Σ A · B.</summary>
    /// <param name="rows">Of A and C.</param>
    /// <param name="width">Columns of B and C: whole cache lines.</param>
    /// <param name="inner">Columns of A, rows of B.</param>
    /// <param name="a">Of each A either the rows or the columns must be lines of neighbours: a step is 1.</param>
    /// <param name="aRow">Step between A's rows.</param>
    /// <param name="aColumn">Step between A's columns.</param>
    /// <param name="b">(inner, width), each.</param>
    /// <param name="bRow">Step between B's rows.</param>
    /// <param name="c">(rows, width).</param>
    /// <param name="cRow">Step between C's rows.</param>
    /// <param name="accumulate">Whether to add to C.</param>
    /// <param name="count">How many products are summed.</param>
    /// <param name="aStep">From one A to the next.</param>
    /// <param name="bStep">From one B to the next.</param>
    public static void Multiply<V, T>(
        int rows, int width, int inner, T* a, nint aRow, nint aColumn, T* b, nint bRow, T* c, nint cRow, bool accumulate, int count = 1, nint aStep = 0, nint bStep = 0)
        where V : unmanaged, IRegister<V, T> where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        for (int j = 0, columns; j < width; j += columns)
        {
            columns = Math.Min(4 * V.Count, width - j);
            Multiply<V, T>(rows, columns, inner, a, aRow, aColumn, new(b + j, 2 * V.Count, bRow, bStep), new(c + j, 2 * V.Count, cRow), accumulate, count, aStep);
        }
    }

    /// <summary>The same of at most four registers a row, of which the last two may lie elsewhere.</summary>
    public static void Multiply<V, T>(int rows, int columns, int inner, T* a, nint aRow, nint aColumn, in Halves<T> b, in Halves<T> c, bool accumulate, int count = 1, nint aStep = 0)
        where V : unmanaged, IRegister<V, T> where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        var target = c;
        var isWide = typeof(V) == typeof(Register512<T>);
        var most = isWide ? 6 : 3;
        var left = rows % most;
        if (rows > most && left > 0 && left <= most / 3)
            left += most; // few rows are bound by loads and latency: as two parts of nearly the same height they take less time
        if (isWide)
            Take<V, T, Six>(rows - left, ref rows, columns, inner, ref a, aRow, aColumn, b, ref target, accumulate, count, aStep);
        if (isWide && rows != 5)
            Take<V, T, Four>(rows / 4 * 4, ref rows, columns, inner, ref a, aRow, aColumn, b, ref target, accumulate, count, aStep);
        Take<V, T, Three>(isWide ? rows / 3 * 3 : rows - left, ref rows, columns, inner, ref a, aRow, aColumn, b, ref target, accumulate, count, aStep);
        Take<V, T, Two>(rows / 2 * 2, ref rows, columns, inner, ref a, aRow, aColumn, b, ref target, accumulate, count, aStep);
        Take<V, T, One>(rows, ref rows, columns, inner, ref a, aRow, aColumn, b, ref target, accumulate, count, aStep);
    }

    /// <summary>Rows of one height, in one to four registers.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Take<V, T, THeight>(
        int taken, ref int rows, int columns, int inner, ref T* a, nint aRow, nint aColumn, in Halves<T> b, ref Halves<T> c, bool accumulate, int count, nint aStep)
        where V : unmanaged, IRegister<V, T> where T : unmanaged, IBinaryFloatingPointIeee754<T> where THeight : struct, INumber
    {
        if (taken == 0)
            return;
        if (typeof(V) == typeof(Register512<T>))
            Equal<Register512<T>, Vector512<T>, T, THeight>(taken, columns, inner, a, aRow, aColumn, b, c, accumulate, count, aStep);
        else if (typeof(V) == typeof(Register256<T>))
            Equal<Register256<T>, Vector256<T>, T, THeight>(taken, columns, inner, a, aRow, aColumn, b, c, accumulate, count, aStep);
        else
            Equal<Register128<T>, Vector128<T>, T, THeight>(taken, columns, inner, a, aRow, aColumn, b, c, accumulate, count, aStep);
        a += taken * aRow;
        c = c.From(taken);
        rows -= taken;
    }

    private static void Equal<V, TVector, T, THeight>(int rows, int columns, int inner, T* a, nint aRow, nint aColumn, in Halves<T> b, in Halves<T> c, bool accumulate, int count, nint aStep)
        where V : unmanaged, IRegister<V, T>, IVector<V, TVector, T> where TVector : struct where T : unmanaged, IBinaryFloatingPointIeee754<T> where THeight : struct, INumber
    {
        switch (columns / V.Count)
        {
            case 4:
                Equal<V, TVector, T, THeight, Four>(rows, inner, a, aRow, aColumn, b, c, accumulate, count, aStep);
                break;
            case 3:
                Equal<V, TVector, T, THeight, Three>(rows, inner, a, aRow, aColumn, b, c, accumulate, count, aStep);
                break;
            case 2:
                Equal<V, TVector, T, THeight, Two>(rows, inner, a, aRow, aColumn, b, c, accumulate, count, aStep);
                break;
            default:
                Equal<V, TVector, T, THeight, One>(rows, inner, a, aRow, aColumn, b, c, accumulate, count, aStep);
                break;
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Equal<V, TVector, T, THeight, TWidth>(int rows, int inner, T* a, nint aRow, nint aColumn, in Halves<T> b, in Halves<T> c, bool accumulate, int count, nint aStep)
        where V : unmanaged, IRegister<V, T>, IVector<V, TVector, T> where TVector : struct where T : unmanaged, IBinaryFloatingPointIeee754<T>
        where THeight : struct, INumber where TWidth : struct, INumber
    {
        if (aColumn == 1)
            FewRows<V, TVector, T, THeight, TWidth, InRows>(rows, inner, a, aRow, b, c, accumulate, count, aStep);
        else
            FewRows<V, TVector, T, THeight, TWidth, InColumns>(rows, inner, a, aColumn, b, c, accumulate, count, aStep);
    }

    /// <summary>
    /// Rows by one height and one width, of one product or of the sum of several. Four steps a turn of the loop, so that few instructions are not arithmetic: where
    /// two threads share a core, the number of instructions is what bounds it. Of A the values of a row or those of a column are neighbours: a line, <c>aLine</c> from the next.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void FewRows<V, TVector, T, THeight, TWidth, TLayout>(int rows, int inner, T* a, nint aLine, in Halves<T> b, in Halves<T> c, bool accumulate, int count, nint aStep)
        where V : unmanaged, IRegister<V, T>, IVector<V, TVector, T> where TVector : struct where T : unmanaged, IBinaryFloatingPointIeee754<T>
        where THeight : struct, INumber where TWidth : struct, INumber where TLayout : struct, ILayout
    {
        nint bRow = b.Row, cRow = c.Row, bHalf = b.Half, cHalf = c.Half, bStep = b.Step - inner * bRow;
        nint aTurn = TLayout.IsRows ? 4 : 4 * aLine, bTurn = 4 * bRow, aNext = THeight.Value * (TLayout.IsRows ? aLine : 1);
        aStep -= TLayout.IsRows ? inner : inner * aLine;
        T* target = c.First;
        for (; rows > 0; rows -= THeight.Value, a += aNext, target += THeight.Value * cRow)
        {
            Row<TVector> c0 = default, c1 = default, c2 = default, c3 = default, c4 = default, c5 = default;
            if (accumulate)
            {
                Load<V, TVector, T, TWidth>(target, cHalf, ref c0);
                if (THeight.Value > 1)
                    Load<V, TVector, T, TWidth>(target + cRow, cHalf, ref c1);
                if (THeight.Value > 2)
                    Load<V, TVector, T, TWidth>(target + 2 * cRow, cHalf, ref c2);
                if (THeight.Value > 3)
                    Load<V, TVector, T, TWidth>(target + 3 * cRow, cHalf, ref c3);
                if (THeight.Value > 4)
                {
                    Load<V, TVector, T, TWidth>(target + 4 * cRow, cHalf, ref c4);
                    Load<V, TVector, T, TWidth>(target + 5 * cRow, cHalf, ref c5);
                }
            }
            T* line0 = a, line1 = a + aLine, line2 = a + 2 * aLine, line3 = a + 3 * aLine, line4 = a + 4 * aLine, line5 = a + 5 * aLine, right = b.First, far = b.First + bHalf;
            for (var n = count; n > 0; n--, line0 += aStep, line1 += aStep, line2 += aStep, line3 += aStep, line4 += aStep, line5 += aStep, right += bStep, far += bStep)
            {
                if (TLayout.IsRows && count > 1 && typeof(V) != typeof(Register512<T>))
                    Prefetch<T, THeight>(line0 + aNext);
                var left = inner;
                for (; left >= 4; left -= 4, line0 += aTurn, line1 += aTurn, line2 += aTurn, line3 += aTurn, line4 += aTurn, line5 += aTurn, right += bTurn, far += bTurn)
                {
                    Step<V, TVector, T, THeight, TWidth, TLayout>(line0, line1, line2, line3, line4, line5, line0, 0, right, far, 0, ref c0, ref c1, ref c2, ref c3, ref c4, ref c5);
                    Step<V, TVector, T, THeight, TWidth, TLayout>(line0, line1, line2, line3, line4, line5, line1, 1, right, far, bRow, ref c0, ref c1, ref c2, ref c3, ref c4, ref c5);
                    Step<V, TVector, T, THeight, TWidth, TLayout>(line0, line1, line2, line3, line4, line5, line2, 2, right, far, 2 * bRow, ref c0, ref c1, ref c2, ref c3, ref c4, ref c5);
                    Step<V, TVector, T, THeight, TWidth, TLayout>(line0, line1, line2, line3, line4, line5, line3, 3, right, far, 3 * bRow, ref c0, ref c1, ref c2, ref c3, ref c4, ref c5);
                }
                for (; left > 0; left--, line0 += aTurn / 4, line1 += aTurn / 4, line2 += aTurn / 4, line3 += aTurn / 4, line4 += aTurn / 4, line5 += aTurn / 4, right += bRow, far += bRow)
                    Step<V, TVector, T, THeight, TWidth, TLayout>(line0, line1, line2, line3, line4, line5, line0, 0, right, far, 0, ref c0, ref c1, ref c2, ref c3, ref c4, ref c5);
            }
            Store<V, TVector, T, TWidth>(c0, target, cHalf);
            if (THeight.Value > 1)
                Store<V, TVector, T, TWidth>(c1, target + cRow, cHalf);
            if (THeight.Value > 2)
                Store<V, TVector, T, TWidth>(c2, target + 2 * cRow, cHalf);
            if (THeight.Value > 3)
                Store<V, TVector, T, TWidth>(c3, target + 3 * cRow, cHalf);
            if (THeight.Value > 4)
            {
                Store<V, TVector, T, TWidth>(c4, target + 4 * cRow, cHalf);
                Store<V, TVector, T, TWidth>(c5, target + 5 * cRow, cHalf);
            }
        }
    }

    /// <summary>Asks for the next rows of a tile, two cache lines each: tiles are too far apart for the processor to foresee what is read of the next one.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Prefetch<T, THeight>(T* rows) where T : unmanaged where THeight : struct, INumber
    {
        const int Line = 64;
        if (!Sse.IsSupported)
            return;
        for (nint line = 0; line < 2 * THeight.Value; line++)
            Sse.Prefetch0((byte*)rows + line * Line);
    }

    /// <summary>
    /// Adds the products of a column of A, a value of each row, and a row of B. What is read is named by a pointer that the loop has and an offset, a part of the instruction:
    /// an address of its own, or a value on its way, would be one more.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Step<V, TVector, T, THeight, TWidth, TLayout>(
        T* row0, T* row1, T* row2, T* row3, T* row4, T* row5, T* column, int columnAt, T* b, T* far, nint bAt,
        ref Row<TVector> c0, ref Row<TVector> c1, ref Row<TVector> c2, ref Row<TVector> c3, ref Row<TVector> c4, ref Row<TVector> c5)
        where V : unmanaged, IRegister<V, T>, IVector<V, TVector, T> where TVector : struct where T : unmanaged, IBinaryFloatingPointIeee754<T>
        where THeight : struct, INumber where TWidth : struct, INumber where TLayout : struct, ILayout
    {
        TVector v0 = V.CreateVector(TLayout.At(row0, column, 0, columnAt)), v1 = default, v2 = default, v3 = default, v4 = default, v5 = default;
        if (THeight.Value > 1)
            v1 = V.CreateVector(TLayout.At(row1, column, 1, columnAt));
        if (THeight.Value > 2)
            v2 = V.CreateVector(TLayout.At(row2, column, 2, columnAt));
        if (THeight.Value > 3)
            v3 = V.CreateVector(TLayout.At(row3, column, 3, columnAt));
        if (THeight.Value > 4)
            (v4, v5) = (V.CreateVector(TLayout.At(row4, column, 4, columnAt)), V.CreateVector(TLayout.At(row5, column, 5, columnAt)));
        AddColumn<V, TVector, T, THeight>(v0, v1, v2, v3, v4, v5, V.LoadVector(b + bAt), ref c0.C0, ref c1.C0, ref c2.C0, ref c3.C0, ref c4.C0, ref c5.C0);
        if (TWidth.Value > 1)
            AddColumn<V, TVector, T, THeight>(v0, v1, v2, v3, v4, v5, V.LoadVector(b + bAt + V.Count), ref c0.C1, ref c1.C1, ref c2.C1, ref c3.C1, ref c4.C1, ref c5.C1);
        if (TWidth.Value > 2)
            AddColumn<V, TVector, T, THeight>(v0, v1, v2, v3, v4, v5, V.LoadVector(far + bAt), ref c0.C2, ref c1.C2, ref c2.C2, ref c3.C2, ref c4.C2, ref c5.C2);
        if (TWidth.Value > 3)
            AddColumn<V, TVector, T, THeight>(v0, v1, v2, v3, v4, v5, V.LoadVector(far + bAt + V.Count), ref c0.C3, ref c1.C3, ref c2.C3, ref c3.C3, ref c4.C3, ref c5.C3);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void AddColumn<V, TVector, T, THeight>(
        TVector a0, TVector a1, TVector a2, TVector a3, TVector a4, TVector a5, TVector b, ref TVector c0, ref TVector c1, ref TVector c2, ref TVector c3, ref TVector c4, ref TVector c5)
        where V : unmanaged, IRegister<V, T>, IVector<V, TVector, T> where TVector : struct where T : unmanaged, IBinaryFloatingPointIeee754<T> where THeight : struct, INumber
    {
        c0 = V.MultiplyAddVectors(a0, b, c0);
        if (THeight.Value > 1)
            c1 = V.MultiplyAddVectors(a1, b, c1);
        if (THeight.Value > 2)
            c2 = V.MultiplyAddVectors(a2, b, c2);
        if (THeight.Value > 3)
            c3 = V.MultiplyAddVectors(a3, b, c3);
        if (THeight.Value <= 4)
            return;
        c4 = V.MultiplyAddVectors(a4, b, c4);
        c5 = V.MultiplyAddVectors(a5, b, c5);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Load<V, TVector, T, TWidth>(T* c, nint half, ref Row<TVector> row)
        where V : unmanaged, IRegister<V, T>, IVector<V, TVector, T> where TVector : struct where T : unmanaged, IBinaryFloatingPointIeee754<T> where TWidth : struct, INumber
    {
        row.C0 = V.LoadVector(c);
        if (TWidth.Value > 1)
            row.C1 = V.LoadVector(c + V.Count);
        if (TWidth.Value > 2)
            row.C2 = V.LoadVector(c + half);
        if (TWidth.Value > 3)
            row.C3 = V.LoadVector(c + half + V.Count);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Store<V, TVector, T, TWidth>(in Row<TVector> row, T* c, nint half)
        where V : unmanaged, IRegister<V, T>, IVector<V, TVector, T> where TVector : struct where T : unmanaged, IBinaryFloatingPointIeee754<T> where TWidth : struct, INumber
    {
        V.StoreVector(row.C0, c);
        if (TWidth.Value > 1)
            V.StoreVector(row.C1, c + V.Count);
        if (TWidth.Value > 2)
            V.StoreVector(row.C2, c + half);
        if (TWidth.Value > 3)
            V.StoreVector(row.C3, c + half + V.Count);
    }

    /// <summary>Rows in two halves, each of at most two registers: those of two tiles, or side by side.</summary>
    /// <param name="first">The first row.</param>
    /// <param name="half">From there to its second half.</param>
    /// <param name="row">Step between rows.</param>
    /// <param name="step">From one matrix to the next.</param>
    public readonly struct Halves<T>(T* first, nint half, nint row, nint step = 0) where T : unmanaged
    {
        public readonly T* First = first;
        public readonly nint Half = half, Row = row, Step = step;

        public Halves<T> From(int row) => new(First + row * Row, Half, Row, Step);
    }

    /// <summary>The sums of one row of C.</summary>
    private struct Row<TVector>
    {
        public TVector C0, C1, C2, C3;
    }

    /// <summary>Which way a matrix lies, known to the compiler.</summary>
    private interface ILayout
    {
        static abstract bool IsRows { get; }

        /// <summary>The value of a row and a column, of which one is a line.</summary>
        static abstract T At<T>(T* rowLine, T* columnLine, int row, int column) where T : unmanaged;
    }

    private readonly struct InRows : ILayout
    {
        public static bool IsRows => true;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static T At<T>(T* rowLine, T* columnLine, int row, int column) where T : unmanaged => rowLine[column];
    }

    private readonly struct InColumns : ILayout
    {
        public static bool IsRows => false;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static T At<T>(T* rowLine, T* columnLine, int row, int column) where T : unmanaged => columnLine[row];
    }
}
