using System.Buffers;
using System.Runtime.InteropServices;
using LlamaFullstack.Core.Quantization;
using Microsoft.Win32.SafeHandles;

namespace LlamaFullstack.Core.Formats;

/// <summary>One tensor that has been written, for progress and for the report of what quantisation cost.</summary>
/// <param name="Index">Its place in the file, from 0.</param>
/// <param name="Count">How many the file has.</param>
/// <param name="Tensor">Its name and shape.</param>
/// <param name="MaxError">Largest |w - q·scale|; 0 for float32.</param>
/// <param name="MeanError">Mean |w - q·scale|; 0 for float32.</param>
public readonly record struct TensorWritten(int Index, int Count, TensorShape Tensor, float MaxError, double MeanError);

/// <summary>Writes model files: versions 0 to 2 byte for byte as llama2.c's export.py does, and version 3, which is ours.</summary>
public static class ModelBinWriter
{
    // Group sizes to start from, halved until they divide the rows: llama2.c's for int8, GGUF's for 4 bits.
    private const int LargestInt8Group = 64;
    private const int LargestInt4Group = 32;

    /// <summary>Writes a model file, one tensor at a time, atomically.</summary>
    /// <param name="path">The file to create or replace.</param>
    /// <param name="source">The weights.</param>
    /// <param name="version">0, 1, 2 or 3.</param>
    /// <param name="groupSize">Group size of version 2 or 3; null for the largest of 64 (version 3: 32), 32, 16, … that divides dim and hidden_dim.</param>
    /// <param name="progress">Told of each tensor once it is written.</param>
    /// <param name="cancellation">Stops between two tensors; the old file stays.</param>
    /// <exception cref="ArgumentException">The version or the group size cannot be written for this shape.</exception>
    /// <exception cref="InvalidDataException">The source lacks a tensor, or a weight is not a finite number.</exception>
    public static void Write(string path, ITensorSource source, int version, int? groupSize = null,
        IProgress<TensorWritten>? progress = null, CancellationToken cancellation = default)
    {
        var header = MakeHeader(source, version, groupSize);
        var layout = new ModelBinLayout(header);
        AtomicFile.Write(path, file =>
        {
            header.Write(file);
            for (var i = 0; i < layout.Sections.Count; i++)
            {
                cancellation.ThrowIfCancellationRequested();
                var section = layout.Sections[i];
                var (maxError, meanError) = WriteSection(file, source, section, path);
                progress?.Report(new TensorWritten(i, layout.Sections.Count, section.Tensor, maxError, meanError));
            }
        });
    }

    /// <summary>The group size that llama2.c's rule gives, held to whole groups in every row.</summary>
    private static int LargestGroupSize(LlamaConfig config, int version)
    {
        var groupSize = version == 3 ? LargestInt4Group : LargestInt8Group;
        while (groupSize > 1 && ModelBinHeader.FindGroupProblem(config, version, groupSize) is not null)
            groupSize /= 2;
        return groupSize;
    }

    private static ModelBinHeader MakeHeader(ITensorSource source, int version, int? groupSize)
    {
        var config = source.Config.Validated("model");
        if (version is < 0 or > 3)
            throw new ArgumentException($"version {version} cannot be written; versions 0 to 3 can.", nameof(version));
        var foreign = config.ForeignRope ?? (config.NormEps != LlamaConfig.DefaultNormEps ? $"norm_eps {config.NormEps}" : null);
        if (version == 0 && foreign is not null)
            throw new ArgumentException($"version 0 has no field for the model's {foreign}, and llama2.c would run it with its own; write version 1, 2 or 3.", nameof(version));
        if (version < 2)
            return new ModelBinHeader(version, config, source.SharedClassifier, GroupSize: 0);

        var largest = LargestGroupSize(config, version);
        var chosen = groupSize ?? largest;
        if (ModelBinHeader.FindGroupProblem(config, version, chosen) is { } problem)
            throw new ArgumentException(chosen == largest ? $"version {version} cannot hold this model: {problem}." : $"--group_size {chosen}: {problem}; {largest} does.", nameof(groupSize));
        return new ModelBinHeader(version, config, source.SharedClassifier, chosen);
    }

    private static (float Max, double Mean) WriteSection(FileStream file, ITensorSource source, ModelBinSection section, string path)
    {
        if (section.IsQuantized)
        {
            var handle = file.SafeFileHandle;
            // A file is written by one core at a time, while the others wait for it: the scales, a small share, go in one piece.
            var scales = new byte[section.ScaleBytes(section.Tensor.Length)];
            var error = TensorParts.ForEach(source, section.Tensor, (start, values) => WriteQuantized(handle, values, start, section, scales, path));
            RandomAccess.Write(handle, scales, section.ScalesOffset);
            return error;
        }
        file.Position = section.Offset;
        if (section.Tensor.Name is ModelBinLayout.FreqsCos or ModelBinLayout.FreqsSin)
            WriteRopeTable(file, source.Config, section.Tensor);
        else
            FloatWriter.Write(file, source, section.Tensor, NumberType.Float32);
        return default;
    }

    private static void WriteRopeTable(FileStream file, LlamaConfig config, TensorShape tensor)
    {
        var values = new float[tensor.Length];
        RopeTable.Fill(values, config, tensor.Name == ModelBinLayout.FreqsCos ? RopeTable.Cos : RopeTable.Sin);
        FloatWriter.Write(file, values, NumberType.Float32, tensor.Name);
    }

    private static (float Max, double Sum) WriteQuantized(SafeFileHandle file, ReadOnlySpan<float> values, long start, ModelBinSection section, byte[] allScales, string path)
    {
        var buffer = ArrayPool<byte>.Shared.Rent((int)section.CodeBytes(values.Length));
        var codes = buffer.AsSpan(0, (int)section.CodeBytes(values.Length));
        var scales = allScales.AsSpan((int)section.ScaleBytes(start), (int)section.ScaleBytes(values.Length));
        var back = ArrayPool<float>.Shared.Rent(values.Length);
        if (!TryQuantize(values, section, codes, scales, back.AsSpan(0, values.Length)))
            throw new InvalidDataException($"{path}: not written: {section.Tensor.Name} has a weight that is not a finite number" +
                (section.Type == WeightType.Int8 ? ", which int8 cannot hold." : ", or above 500,000, which 4 bits cannot hold."));
        RandomAccess.Write(file, codes, section.Offset + section.CodeBytes(start));
        var error = Difference.Of(values, back.AsSpan(0, values.Length));
        ArrayPool<byte>.Shared.Return(buffer);
        ArrayPool<float>.Shared.Return(back);
        return error;
    }

    // Also what the integers stand for.
    private static bool TryQuantize(ReadOnlySpan<float> values, ModelBinSection section, Span<byte> codes, Span<byte> scales, Span<float> back)
    {
        if (section.Type == WeightType.Int8)
        {
            var quantized = MemoryMarshal.Cast<byte, sbyte>(codes);
            var floats = MemoryMarshal.Cast<byte, float>(scales);
            if (!Int8Groups.TryQuantize(values, section.GroupSize, quantized, floats))
                return false;
            Int8Groups.Dequantize(quantized, floats, section.GroupSize, back);
            return true;
        }
        var halves = MemoryMarshal.Cast<byte, Half>(scales);
        if (!Int4Groups.TryQuantize(values, section.GroupSize, codes, halves))
            return false;
        Int4Groups.Dequantize(codes, halves, section.GroupSize, back);
        return true;
    }
}
