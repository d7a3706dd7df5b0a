using System.Buffers.Binary;

namespace LlamaFullstack.Core.Formats;

/// <summary>What the beginning of a llama2.c model file says. Byte tables: docs/FORMATS.md.</summary>
/// <param name="Version">0 (legacy float32), 1 (float32 with a header), 2 (int8 in groups) or 3 (4 bits in groups, ours).</param>
/// <param name="Config">The model's shape.</param>
/// <param name="SharedClassifier">Whether the classifier is the embedding and has no section of its own.</param>
/// <param name="GroupSize">Weights that share one scale; 0 in float32 files.</param>
public sealed record ModelBinHeader(int Version, LlamaConfig Config, bool SharedClassifier, int GroupSize)
{
    /// <summary>"ak42", the mark of every version but 0.</summary>
    public const uint Magic = 0x616b3432;

    /// <summary>Length of the version 0 header: seven int32.</summary>
    public const int LegacyLength = 7 * sizeof(int);

    /// <summary>Length of the header of every later version, zeros included.</summary>
    public const int Length = 256;

    private const int ShapeOffset = 8;
    private const int SharedClassifierOffset = 36;
    private const int GroupSizeOffset = 37;

    // Our use of llama2.c's zero padding: 0 means llama2.c's constants, so old files and old readers keep working.
    private const int RopeThetaOffset = 44;
    private const int NormEpsOffset = 48;
    private const int RopeScalingOffset = 52;

    /// <summary>Bytes before the first tensor.</summary>
    public int ByteLength => Version == 0 ? LegacyLength : Length;

    /// <summary>Reads and checks a header, and that the file is exactly as long as it says.</summary>
    /// <exception cref="InvalidDataException">The file is not a llama2.c model, or it is damaged.</exception>
    public static ModelBinHeader Read(MappedFile file)
    {
        if (file.Length < LegacyLength)
            throw new InvalidDataException($"{file.Path}: {file.Length} bytes is too short for a llama2.c model, whose header alone has {LegacyLength}.");
        var header = file.Read<uint>(0) == Magic ? ReadVersioned(file) : ReadLegacy(file);
        var expected = new ModelBinLayout(header).FileLength;
        if (file.Length != expected)
            throw new InvalidDataException(
                $"{file.Path}: {file.Length:N0} bytes, but a v{header.Version} file of {header.Describe()} has {expected:N0}. " +
                (file.Length < expected ? "Was it cut short? Download or export it again." : "Its header does not belong to its weights; export it again."));
        return header;
    }

    /// <summary>Writes the header, <see cref="ByteLength"/> bytes.</summary>
    public void Write(Stream stream)
    {
        Span<byte> bytes = stackalloc byte[ByteLength];
        bytes.Clear();
        if (Version == 0)
        {
            WriteShape(bytes, SharedClassifier ? Config.VocabSize : -Config.VocabSize);
        }
        else
        {
            BinaryPrimitives.WriteUInt32LittleEndian(bytes, Magic);
            BinaryPrimitives.WriteInt32LittleEndian(bytes[4..], Version);
            WriteShape(bytes[ShapeOffset..], Config.VocabSize);
            bytes[SharedClassifierOffset] = SharedClassifier ? (byte)1 : (byte)0;
            BinaryPrimitives.WriteInt32LittleEndian(bytes[GroupSizeOffset..], GroupSize);
            if (Config.RopeTheta != LlamaConfig.DefaultRopeTheta)
                BinaryPrimitives.WriteSingleLittleEndian(bytes[RopeThetaOffset..], Config.RopeTheta);
            if (Config.NormEps != LlamaConfig.DefaultNormEps)
                BinaryPrimitives.WriteSingleLittleEndian(bytes[NormEpsOffset..], Config.NormEps);
            if (Config.RopeScaling is { } scaling)
                WriteRopeScaling(bytes[RopeScalingOffset..], scaling);
        }
        stream.Write(bytes);
    }

    private static ModelBinHeader ReadLegacy(MappedFile file)
    {
        var vocabSize = file.Read<int>(5 * sizeof(int));
        var config = ReadShape(file, 0) with { VocabSize = vocabSize == int.MinValue ? 0 : Math.Abs(vocabSize) };
        if (config.FindProblem() is { } problem)
            throw new InvalidDataException($"{file.Path}: not a llama2.c model: no \"ak42\" mark, and read as a v0 header, {problem}.");
        return new ModelBinHeader(0, config, SharedClassifier: vocabSize > 0, GroupSize: 0);
    }

    private static ModelBinHeader ReadVersioned(MappedFile file)
    {
        if (file.Length < Length)
            throw new InvalidDataException($"{file.Path}: {file.Length} bytes is too short for the {Length} byte header. Was it cut short?");
        var version = file.Read<int>(4);
        if (version is not (1 or 2 or 3))
            throw new InvalidDataException($"{file.Path}: version {version} is not known; versions 0 to 3 are.");

        var ropeTheta = file.Read<float>(RopeThetaOffset);
        var normEps = file.Read<float>(NormEpsOffset);
        var config = ReadShape(file, ShapeOffset) with
        {
            RopeTheta = ropeTheta == 0 ? LlamaConfig.DefaultRopeTheta : ropeTheta,
            NormEps = normEps == 0 ? LlamaConfig.DefaultNormEps : normEps,
            RopeScaling = ReadRopeScaling(file),
        };
        config.Validated(file.Path);

        var shared = file.Read<byte>(SharedClassifierOffset);
        if (shared > 1)
            throw new InvalidDataException($"{file.Path}: shared_classifier is {shared}, expected 0 or 1.");
        var groupSize = version >= 2 ? file.Read<int>(GroupSizeOffset) : 0;
        if (version >= 2 && FindGroupProblem(config, version, groupSize) is { } problem)
            throw new InvalidDataException($"{file.Path}: {problem}. Export the model again, with a group size that does.");
        return new ModelBinHeader(version, config, shared == 1, groupSize);
    }

    /// <summary>Why a group size cannot be used for a shape; null if it can.</summary>
    /// <remarks>llama2.c checks dim alone, and its files break where a row of w2 is not whole groups (its issues 443, 532, 533).</remarks>
    public static string? FindGroupProblem(LlamaConfig config, int version, int groupSize) =>
        groupSize < 1 ? $"group size {groupSize} must be at least 1"
        : version == 3 && groupSize % 2 != 0 ? $"group size {groupSize} must be even, since two 4-bit weights share a byte"
        : config.Dim % groupSize != 0 ? $"group size {groupSize} must divide dim {config.Dim}"
        : config.HiddenDim % groupSize != 0 ? $"group size {groupSize} must divide hidden_dim {config.HiddenDim}"
        : null;

    private static LlamaConfig ReadShape(MappedFile file, int offset)
    {
        int Field(int index) => file.Read<int>(offset + index * sizeof(int));
        return new LlamaConfig
        {
            Dim = Field(0),
            HiddenDim = Field(1),
            NLayers = Field(2),
            NHeads = Field(3),
            NKvHeads = Field(4),
            VocabSize = Field(5),
            MaxSeqLen = Field(6),
        };
    }

    private static RopeScaling? ReadRopeScaling(MappedFile file) => file.Read<int>(RopeScalingOffset) is var kind and not 0
        ? new RopeScaling
        {
            Kind = (RopeScalingKind)kind,
            Factor = file.Read<float>(RopeScalingOffset + 4),
            LowFreqFactor = file.Read<float>(RopeScalingOffset + 8),
            HighFreqFactor = file.Read<float>(RopeScalingOffset + 12),
            OriginalMaxSeqLen = file.Read<int>(RopeScalingOffset + 16),
        }
        : null;

    private static void WriteRopeScaling(Span<byte> bytes, RopeScaling scaling)
    {
        BinaryPrimitives.WriteInt32LittleEndian(bytes, (int)scaling.Kind);
        BinaryPrimitives.WriteSingleLittleEndian(bytes[4..], scaling.Factor);
        BinaryPrimitives.WriteSingleLittleEndian(bytes[8..], scaling.LowFreqFactor);
        BinaryPrimitives.WriteSingleLittleEndian(bytes[12..], scaling.HighFreqFactor);
        BinaryPrimitives.WriteInt32LittleEndian(bytes[16..], scaling.OriginalMaxSeqLen);
    }

    private void WriteShape(Span<byte> bytes, int signedVocabSize)
    {
        ReadOnlySpan<int> fields = [Config.Dim, Config.HiddenDim, Config.NLayers, Config.NHeads, Config.NKvHeads, signedVocabSize, Config.MaxSeqLen];
        for (var i = 0; i < fields.Length; i++)
            BinaryPrimitives.WriteInt32LittleEndian(bytes[(i * sizeof(int))..], fields[i]);
    }

    private string Describe() =>
        $"dim {Config.Dim}, hidden_dim {Config.HiddenDim}, n_layers {Config.NLayers}, n_heads {Config.NHeads}, n_kv_heads {Config.NKvHeads}, " +
        $"vocab_size {Config.VocabSize}, max_seq_len {Config.MaxSeqLen}, {(SharedClassifier ? "shared" : "own")} classifier";
}
