using LlamaFullstack.Core.Quantization;

namespace LlamaFullstack.Inference.Kernels;

/// <summary>The specification of the integer kernels, and runq.c's order of additions.</summary>
internal sealed unsafe class ScalarIntegerKernels : IntegerKernels
{
    public override void Quantize(float* x, Int8Vector q)
    {
        for (var group = 0; group < q.Groups; group++)
        {
            var start = group * q.GroupSize;
            // Math.Max hands a NaN on: it reaches the scale, and from there the logits, where it is reported.
            var max = 0f;
            for (var i = 0; i < q.GroupSize; i++)
                max = Math.Max(max, Math.Abs(x[start + i]));

            var scale = q.Scales[group] = max / Int8Groups.MaxMagnitude;
            var sum = 0;
            for (var i = 0; i < q.GroupSize; i++)
                sum += q.Values[start + i] = Round(x[start + i], scale);
            q.Sums[group] = sum;
        }
    }

    public override void QuantizeForInt4(float* x, Int8Vector q) => Quantize(x, q);

    public override void QuantizeTile(float* x, Int8Tile q)
    {
        for (var group = 0; group < q.Groups; group++)
        {
            for (var t = 0; t < Tile; t++)
            {
                var start = group * q.GroupSize;
                var max = 0f;
                for (var i = start; i < start + q.GroupSize; i++)
                    max = Math.Max(max, Math.Abs(x[i * Tile + t]));

                var scale = q.Scales[group * Tile + t] = max / Int8Groups.MaxMagnitude;
                var sum = 0;
                for (var i = start; i < start + q.GroupSize; i++)
                    sum += q.Values[(i / 4 * Tile + t) * 4 + i % 4] = Round(x[i * Tile + t], scale);
                q.Sums[group * Tile + t] = sum;
            }
        }
    }

    public override void MatVecInt8(sbyte* w, float* wScales, Int8Vector x, float* output, int rows)
    {
        for (var row = 0; row < rows; row++, w += x.Length, wScales += x.Groups)
        {
            var sum = 0f;
            for (var group = 0; group < x.Groups; group++)
            {
                var dot = 0;
                for (var i = group * x.GroupSize; i < (group + 1) * x.GroupSize; i++)
                    dot += w[i] * x.Values[i];
                sum += dot * wScales[group] * x.Scales[group];
            }
            output[row] = sum;
        }
    }

    public override void MatVecInt4(byte* w, Half* wScales, Int8Vector x, float* output, int rows)
    {
        for (var row = 0; row < rows; row++, w += x.Length / 2, wScales += x.Groups)
        {
            var sum = 0f;
            for (var group = 0; group < x.Groups; group++)
            {
                var dot = 0;
                for (var i = 0; i < x.GroupSize; i++)
                    dot += Int4Groups.Value(w + group * x.GroupSize / 2, i, x.GroupSize) * x.Values[group * x.GroupSize + i];
                sum += dot * (float)wScales[group] * x.Scales[group];
            }
            output[row] = sum;
        }
    }

    public override void ArrangeInt8(sbyte* w, byte* to, int n) => Buffer.MemoryCopy(w, to, n, n);

    public override void MatMulInt8(byte* w, float* wScales, Int8Tile x, float* output, int rows, Upcoming next)
    {
        for (var row = 0; row < rows; row++, w += x.Length, wScales += x.Groups, output += Tile)
            for (var t = 0; t < Tile; t++)
                output[t] = Dot((sbyte*)w, offset: 0, wScales, x, t);
    }

    public override void MatMulInt4(byte* w, float* wScales, Int8Tile x, float* output, int rows, Upcoming next)
    {
        for (var row = 0; row < rows; row++, w += x.Length, wScales += x.Groups, output += Tile)
            for (var t = 0; t < Tile; t++)
                output[t] = Dot((sbyte*)w, Int4Groups.Offset, wScales, x, t);
    }

    public override void UnpackInt4(byte* codes, byte* to, int n, int groupSize)
    {
        for (var i = 0; i < n; i++)
            to[i] = (byte)(Int4Groups.Value(codes + i / groupSize * (groupSize / 2), i % groupSize, groupSize) + Int4Groups.Offset);
    }

    /// <summary>Σ (w[i] − offset) · x[i][t], group by group.</summary>
    private static float Dot(sbyte* w, int offset, float* wScales, Int8Tile x, int t)
    {
        var sum = 0f;
        for (var group = 0; group < x.Groups; group++)
        {
            var dot = 0;
            for (var i = group * x.GroupSize; i < (group + 1) * x.GroupSize; i++)
                dot += (w[i] - offset) * x.Values[(i / 4 * Tile + t) * 4 + i % 4];
            sum += dot * wScales[group] * x.Scales[group * Tile + t];
        }
        return sum;
    }

    // The clamp matters only where the scale is so small that it has lost digits; runq.c wraps around there.
    private static sbyte Round(float x, float scale) =>
        scale is > 0 and < float.PositiveInfinity
            ? (sbyte)Math.Clamp(MathF.Round(x / scale, MidpointRounding.AwayFromZero), -Int8Groups.MaxMagnitude, Int8Groups.MaxMagnitude)
            : (sbyte)0;
}
