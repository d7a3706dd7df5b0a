using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace LlamaFullstack.Training.Kernels;

/// <summary>Rows of C = A · B where there are but sixteen registers, of 256 or 128 bits: three rows by four of them, so that 12 sums stay there, fed by 7 loads.</summary>
/// <remarks>.NET's own type of a register is a type parameter here: a struct around it costs a move for each second product (docs/LOG.md).</remarks>
internal static unsafe class SixteenRegisters
{
    /// <summary>C = Σ A · B or C += Σ A · B, rows by threes, and by twos where one would be left.</summary>
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
        var threes = rows % 3 == 1 ? Math.Max(0, rows - 4) : rows - rows % 3;
        for (int j = 0, columns; j < width; j += columns)
        {
            columns = Math.Min(4 * V.Count, width - j);
            T* lastA = a + threes * aRow, lastC = c + threes * cRow + j;
            Equal<V, T, Three>(threes, columns, inner, a, aRow, aColumn, b + j, bRow, c + j, cRow, accumulate, count, aStep, bStep);
            if (rows > 1)
                Equal<V, T, Two>(rows - threes, columns, inner, lastA, aRow, aColumn, b + j, bRow, lastC, cRow, accumulate, count, aStep, bStep);
            else
                for (var n = 0; n < count; n++)
                    MatrixProduct.OneRow<V, T>(columns, inner, a + n * aStep, aColumn, b + n * bStep + j, bRow, c + j, accumulate || n > 0);
        }
    }

    /// <summary>Rows by threes or by twos, in two or four registers.</summary>
    private static void Equal<V, T, THeight>(
        int rows, int columns, int inner, T* a, nint aRow, nint aColumn, T* b, nint bRow, T* c, nint cRow, bool accumulate, int count, nint aStep, nint bStep)
        where V : unmanaged, IRegister<V, T> where T : unmanaged, IBinaryFloatingPointIeee754<T> where THeight : struct, INumber
    {
        if (rows == 0)
            return;
        if (typeof(V) == typeof(Register256<T>))
            Equal<Register256<T>, Vector256<T>, T, THeight>(rows, columns, inner, a, aRow, aColumn, b, bRow, c, cRow, accumulate, count, aStep, bStep);
        else
            Equal<Register128<T>, Vector128<T>, T, THeight>(rows, columns, inner, a, aRow, aColumn, b, bRow, c, cRow, accumulate, count, aStep, bStep);
    }

    private static void Equal<V, TVector, T, THeight>(
        int rows, int columns, int inner, T* a, nint aRow, nint aColumn, T* b, nint bRow, T* c, nint cRow, bool accumulate, int count, nint aStep, nint bStep)
        where V : unmanaged, IRegister<V, T>, IVector<TVector, T> where TVector : struct where T : unmanaged, IBinaryFloatingPointIeee754<T> where THeight : struct, INumber
    {
        var isWide = columns == 4 * V.Count;
        if (isWide && aColumn == 1)
            FewRows<V, TVector, T, THeight, Four, InRows>(rows, inner, a, aRow, b, bRow, c, cRow, accumulate, count, aStep, bStep);
        else if (isWide)
            FewRows<V, TVector, T, THeight, Four, InColumns>(rows, inner, a, aColumn, b, bRow, c, cRow, accumulate, count, aStep, bStep);
        else if (aColumn == 1)
            FewRows<V, TVector, T, THeight, Two, InRows>(rows, inner, a, aRow, b, bRow, c, cRow, accumulate, count, aStep, bStep);
        else
            FewRows<V, TVector, T, THeight, Two, InColumns>(rows, inner, a, aColumn, b, bRow, c, cRow, accumulate, count, aStep, bStep);
    }

    /// <summary>
    /// Rows by twos or threes, of two or four registers, of one product or of the sum of several. Four steps a turn of the loop, so that few instructions are not arithmetic: where
    /// two threads share a core, the number of instructions is what bounds it. Of A the values of a row or those of a column are neighbours: a line, <c>aLine</c> from the next.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void FewRows<V, TVector, T, THeight, TWidth, TLayout>(
        int rows, int inner, T* a, nint aLine, T* b, nint bRow, T* c, nint cRow, bool accumulate, int count, nint aStep, nint bStep)
        where V : unmanaged, IRegister<V, T>, IVector<TVector, T> where TVector : struct where T : unmanaged, IBinaryFloatingPointIeee754<T>
        where THeight : struct, INumber where TWidth : struct, INumber where TLayout : struct, ILayout
    {
        nint aTurn = TLayout.IsRows ? 4 : 4 * aLine, bTurn = 4 * bRow, aNext = THeight.Value * (TLayout.IsRows ? aLine : 1);
        (aStep, bStep) = (aStep - (TLayout.IsRows ? inner : inner * aLine), bStep - inner * bRow);
        for (; rows > 0; rows -= THeight.Value, a += aNext, c += THeight.Value * cRow)
        {
            TVector c00 = default, c01 = default, c02 = default, c03 = default;
            TVector c10 = default, c11 = default, c12 = default, c13 = default;
            TVector c20 = default, c21 = default, c22 = default, c23 = default;
            if (accumulate)
            {
                Load<V, TVector, T, TWidth>(c, out c00, out c01, out c02, out c03);
                Load<V, TVector, T, TWidth>(c + cRow, out c10, out c11, out c12, out c13);
                if (THeight.Value > 2)
                    Load<V, TVector, T, TWidth>(c + 2 * cRow, out c20, out c21, out c22, out c23);
            }
            T* line0 = a, line1 = a + aLine, line2 = a + 2 * aLine, line3 = a + 3 * aLine, right = b; // three rows or four columns
            for (var n = count; n > 0; n--, line0 += aStep, line1 += aStep, line2 += aStep, line3 += aStep, right += bStep)
            {
                var left = inner;
                for (; left >= 4; left -= 4, line0 += aTurn, line1 += aTurn, line2 += aTurn, line3 += aTurn, right += bTurn)
                {
                    Step<V, TVector, T, THeight, TWidth, TLayout>(line0, line1, line2, line0, 0, right, 0,
                        ref c00, ref c01, ref c02, ref c03, ref c10, ref c11, ref c12, ref c13, ref c20, ref c21, ref c22, ref c23);
                    Step<V, TVector, T, THeight, TWidth, TLayout>(line0, line1, line2, line1, 1, right, bRow,
                        ref c00, ref c01, ref c02, ref c03, ref c10, ref c11, ref c12, ref c13, ref c20, ref c21, ref c22, ref c23);
                    Step<V, TVector, T, THeight, TWidth, TLayout>(line0, line1, line2, line2, 2, right, 2 * bRow,
                        ref c00, ref c01, ref c02, ref c03, ref c10, ref c11, ref c12, ref c13, ref c20, ref c21, ref c22, ref c23);
                    Step<V, TVector, T, THeight, TWidth, TLayout>(line0, line1, line2, line3, 3, right, 3 * bRow,
                        ref c00, ref c01, ref c02, ref c03, ref c10, ref c11, ref c12, ref c13, ref c20, ref c21, ref c22, ref c23);
                }
                for (; left > 0; left--, line0 += aTurn / 4, line1 += aTurn / 4, line2 += aTurn / 4, line3 += aTurn / 4, right += bRow)
                    Step<V, TVector, T, THeight, TWidth, TLayout>(line0, line1, line2, line0, 0, right, 0,
                        ref c00, ref c01, ref c02, ref c03, ref c10, ref c11, ref c12, ref c13, ref c20, ref c21, ref c22, ref c23);
            }
            Store<V, TVector, T, TWidth>(c00, c01, c02, c03, c);
            Store<V, TVector, T, TWidth>(c10, c11, c12, c13, c + cRow);
            if (THeight.Value > 2)
                Store<V, TVector, T, TWidth>(c20, c21, c22, c23, c + 2 * cRow);
        }
    }

    /// <summary>
    /// Adds the products of a column of A, a value of each row, and a row of B. What is read is named by a pointer that the loop has and an offset, a part of the instruction:
    /// an address of its own, or a value on its way, would be one more.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Step<V, TVector, T, THeight, TWidth, TLayout>(
        T* row0, T* row1, T* row2, T* column, int columnAt, T* b, nint bAt,
        ref TVector c00, ref TVector c01, ref TVector c02, ref TVector c03,
        ref TVector c10, ref TVector c11, ref TVector c12, ref TVector c13,
        ref TVector c20, ref TVector c21, ref TVector c22, ref TVector c23)
        where V : unmanaged, IRegister<V, T>, IVector<TVector, T> where TVector : struct where T : unmanaged, IBinaryFloatingPointIeee754<T>
        where THeight : struct, INumber where TWidth : struct, INumber where TLayout : struct, ILayout
    {
        TVector v0 = V.CreateVector(TLayout.At(row0, column, 0, columnAt)), v1 = V.CreateVector(TLayout.At(row1, column, 1, columnAt));
        var v2 = THeight.Value > 2 ? V.CreateVector(TLayout.At(row2, column, 2, columnAt)) : default;
        AddColumn<V, TVector, T, THeight>(v0, v1, v2, V.LoadVector(b + bAt), ref c00, ref c10, ref c20);
        AddColumn<V, TVector, T, THeight>(v0, v1, v2, V.LoadVector(b + bAt + V.Count), ref c01, ref c11, ref c21);
        if (TWidth.Value == 2)
            return;
        AddColumn<V, TVector, T, THeight>(v0, v1, v2, V.LoadVector(b + bAt + 2 * V.Count), ref c02, ref c12, ref c22);
        AddColumn<V, TVector, T, THeight>(v0, v1, v2, V.LoadVector(b + bAt + 3 * V.Count), ref c03, ref c13, ref c23);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void AddColumn<V, TVector, T, THeight>(TVector a0, TVector a1, TVector a2, TVector b, ref TVector c0, ref TVector c1, ref TVector c2)
        where V : unmanaged, IRegister<V, T>, IVector<TVector, T> where TVector : struct where T : unmanaged, IBinaryFloatingPointIeee754<T> where THeight : struct, INumber
    {
        c0 = V.MultiplyAddVectors(a0, b, c0);
        c1 = V.MultiplyAddVectors(a1, b, c1);
        if (THeight.Value > 2)
            c2 = V.MultiplyAddVectors(a2, b, c2);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Load<V, TVector, T, TWidth>(T* c, out TVector c0, out TVector c1, out TVector c2, out TVector c3)
        where V : unmanaged, IRegister<V, T>, IVector<TVector, T> where TVector : struct where T : unmanaged, IBinaryFloatingPointIeee754<T> where TWidth : struct, INumber
    {
        (c0, c1) = (V.LoadVector(c), V.LoadVector(c + V.Count));
        (c2, c3) = TWidth.Value == 2 ? (default, default) : (V.LoadVector(c + 2 * V.Count), V.LoadVector(c + 3 * V.Count));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Store<V, TVector, T, TWidth>(TVector c0, TVector c1, TVector c2, TVector c3, T* c)
        where V : unmanaged, IRegister<V, T>, IVector<TVector, T> where TVector : struct where T : unmanaged, IBinaryFloatingPointIeee754<T> where TWidth : struct, INumber
    {
        V.StoreVector(c0, c);
        V.StoreVector(c1, c + V.Count);
        if (TWidth.Value == 2)
            return;
        V.StoreVector(c2, c + 2 * V.Count);
        V.StoreVector(c3, c + 3 * V.Count);
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
