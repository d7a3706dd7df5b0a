using LlamaFullstack.Core.Formats;

namespace LlamaFullstack.Core.Tests;

/// <summary>Damaged and hostile GGUF files: each is refused in one line that names the field, before anything large is allocated.</summary>
public sealed class HostileGgufTests : IDisposable
{
    private const long MaxAllocated = 4 << 20;
    private const string Embedding = "token_embd.weight", Gate = "blk.0.ffn_gate.weight";

    private static readonly Dictionary<string, (string Message, Func<GgufBytes, GgufBytes> Spoil)> Cases = new()
    {
        ["not GGUF"] = ("does not begin with", f => Having(f, x => x.Magic = 0x46474747)),
        ["version 1"] = ("version 1 is not known", f => Having(f, x => x.Version = 1)),
        ["version 4"] = ("version 4 is not known", f => Having(f, x => x.Version = 4)),
        ["big-endian"] = ("big-endian", f => Having(f, x => x.Version = 3 << 24)),
        ["billions of tensors"] = ("4,000,000,000 tensors", f => Having(f, x => x.TensorCount = 4_000_000_000)),
        ["2^64-1 tensors"] = ("18,446,744,073,709,551,615 tensors", f => Having(f, x => x.TensorCount = ulong.MaxValue)),
        ["more tensors than fit"] = ("60,000 tensors, more than fit", f => Having(f, x => x.TensorCount = 60_000)),
        ["a tensor too many"] = ("", f => Having(f, x => x.TensorCount = 13)),
        ["billions of values"] = ("5,000,000,000 metadata values", f => Having(f, x => x.ValueCount = 5_000_000_000)),
        ["a value too many"] = ("", f => Having(f, x => x.ValueCount = 14)),
        ["a value too few"] = ("", f => Having(f, x => x.ValueCount = 12)),
        ["no values"] = ("", f => Having(f, x => x.ValueCount = 0)),
        ["key twice"] = ("'llama.block_count' stands twice", f => f.Repeat("llama.block_count")),
        ["key of 2 KB"] = ("the key of value 13", f => f.Set(new string('k', 2048), 1u)),
        ["unknown type of value"] = ("'x' is of the type 13", f => f.Set("x", 13, [0])),
        ["text of 2^64-1 bytes"] = ("'x' would be 18,446,744,073,709,551,615 bytes long", f => f.Set("x", GgufBytes.Text, BitConverter.GetBytes(ulong.MaxValue))),
        ["text of 2^63 bytes"] = ("'x' would be 9,223,372,036,854,775,808 bytes long", f => f.Set("x", GgufBytes.Text, BitConverter.GetBytes(1UL << 63))),
        ["array of arrays"] = ("'x' is an array of arrays", f => f.Set("x", GgufBytes.Array, GgufBytes.ArrayValue(GgufBytes.Array, GgufBytes.ArrayValue(GgufBytes.U8, [0])))),
        ["array of 2^64-1"] = ("18,446,744,073,709,551,615 elements in 'x'", f => f.Set("x", GgufBytes.Array, [.. BitConverter.GetBytes(GgufBytes.U8), .. BitConverter.GetBytes(ulong.MaxValue)])),
        ["array of billions of texts"] = ("elements in 'x'", f => f.Set("x", GgufBytes.Array, [.. BitConverter.GetBytes(GgufBytes.Text), .. BitConverter.GetBytes(3_000_000_000UL)])),
        ["array of 2^61 float64"] = ("elements in 'x'", f => f.Set("x", GgufBytes.Array, [.. BitConverter.GetBytes(12u), .. BitConverter.GetBytes(1UL << 61)])),
        ["array longer than the file"] = ("30,000,000 elements in 'x', more than fit", f => f.Set("x", GgufBytes.Array, [.. BitConverter.GetBytes(GgufBytes.U8), .. BitConverter.GetBytes(30_000_000UL)])),
        ["array of an unknown type"] = ("'x' is of the type 77", f => f.Set("x", GgufBytes.Array, [.. BitConverter.GetBytes(77u), .. BitConverter.GetBytes(1UL)])),
        ["alignment 0"] = ("general.alignment 0 must be a power of two", f => f.Set("general.alignment", 0u)),
        ["alignment 24"] = ("general.alignment 24 must be a power of two", f => f.Set("general.alignment", 24u)),
        ["alignment 4"] = ("general.alignment 4 must be", f => f.Set("general.alignment", 4u)),
        ["alignment 2^31"] = ("general.alignment 2147483648 is larger", f => f.Set("general.alignment", 1u << 31)),
        ["alignment -32"] = ("general.alignment -32 must be", f => f.Set("general.alignment", GgufBytes.I32, BitConverter.GetBytes(-32))),
        ["alignment as a text"] = ("general.alignment is of the type Text", f => f.Set("general.alignment", "32")),
        ["alignment of the tensors differs"] = ("begins at byte", f => f.Set("general.alignment", 4096u)),
        ["tensor twice"] = ($"'{Embedding}' stands twice", f => f.Change(Gate, newName: Embedding)),
        ["name of 64 bytes"] = ("the name of tensor 0 would be 64", f => f.Change(Embedding, newName: new string('n', 64))),
        ["no dimensions"] = ($"'{Embedding}' has 0 dimensions", f => f.Change(Embedding, [])),
        ["five dimensions"] = ($"'{Embedding}' has 5 dimensions", f => f.Change(Embedding, [32, 260, 1, 1, 1])),
        ["dimension 0"] = ($"'{Embedding}' has the dimension 0", f => f.Change(Embedding, [32, 0])),
        ["dimension 2^64-1"] = ($"'{Embedding}' has the dimension 18,446,744,073,709,551,615", f => f.Change(Embedding, [ulong.MaxValue, 1])),
        ["product 2^64"] = ($"'{Embedding}' has the dimension", f => f.Change(Embedding, [1UL << 32, 1UL << 32])),
        ["product wraps to the right size"] = ($"'{Embedding}' has the dimension", f => f.Change(Embedding, [1UL << 62, 4, 32, 260])),
        ["tensor of 2^60 values"] = ($"'{Embedding}' of 4,611,686,018,427,387,904 bytes ends after", f => f.Change(Embedding, [1UL << 30, 1UL << 30])),
        ["type Q4_K"] = ($"'{Embedding}' is of Q4_K, which is not read here; F32, F16, BF16, Q8_0, Q4_0 are", f => f.Change(Embedding, type: 12)),
        ["type unknown"] = ($"'{Embedding}' is of the type 4000000000", f => f.Change(Embedding, type: 4_000_000_000)),
        ["rows are not whole blocks"] = ($"'{Gate}' has rows of 33 values, but Q8_0 has blocks of 32", f => f.Change(Gate, [33, 64], type: 8)),
        ["offset overlaps"] = ($"'{Gate}' begins at byte 0 of the tensors", f => f.Change(Gate, offset: 0)),
        ["offset leaves a gap"] = ("begins at byte", f => f.Change("output_norm.weight", offset: 1 << 20)),
        ["offset 2^64-32"] = ($"'{Gate}' begins at byte 18,446,744,073,709,551,584", f => f.Change(Gate, offset: ulong.MaxValue - 31)),
        ["offset not aligned"] = ($"'{Gate}' begins at byte 3 ", f => f.Change(Gate, offset: 3)),
        ["no architecture"] = ("general.architecture is ''", f => f.Remove("general.architecture")),
        ["another architecture"] = ("general.architecture is 'gpt2'", f => f.Set("general.architecture", "gpt2")),
        ["architecture with a line feed"] = (@"'llama\u000aevil'", f => f.Set("general.architecture", "llama\nevil")),
        ["no embedding_length"] = ("has no llama.embedding_length", f => f.Remove("llama.embedding_length")),
        ["no eps"] = ("has no llama.attention.layer_norm_rms_epsilon", f => f.Remove("llama.attention.layer_norm_rms_epsilon")),
        ["eps NaN"] = ("norm_eps NaN", f => f.Set("llama.attention.layer_norm_rms_epsilon", float.NaN)),
        ["eps 0"] = ("norm_eps 0", f => f.Set("llama.attention.layer_norm_rms_epsilon", 0f)),
        ["rope base infinite"] = ("rope_theta", f => f.Set("llama.rope.freq_base", float.PositiveInfinity)),
        ["rope base negative"] = ("rope_theta -1", f => f.Set("llama.rope.freq_base", -1f)),
        ["zero heads"] = ("n_heads 0 must be", f => f.Set("llama.attention.head_count", 0u)),
        ["zero kv heads"] = ("n_kv_heads 0 must be", f => f.Set("llama.attention.head_count_kv", 0u)),
        ["kv heads do not divide"] = ("n_kv_heads 3 must divide", f => f.Set("llama.attention.head_count_kv", 3u)),
        ["heads by layer"] = ("llama.attention.head_count is of the type array of", f => f.Set("llama.attention.head_count", GgufBytes.Array, GgufBytes.ArrayValue(GgufBytes.U32, [4, 0, 0, 0]))),
        ["heads 2^32-1"] = ("llama.attention.head_count 4294967295 is larger", f => f.Set("llama.attention.head_count", uint.MaxValue)),
        ["billions of layers"] = ("n_layers 2000000000 must be", f => f.Set("llama.block_count", 2_000_000_000u)),
        ["a layer too many"] = ("the tensor layers.1.attention_norm.weight is missing", f => f.Set("llama.block_count", 2u)),
        ["context 0"] = ("max_seq_len 0 must be", f => f.Set("llama.context_length", 0u)),
        ["context a fraction"] = ("llama.context_length is of the type Float32", f => f.Set("llama.context_length", 16f)),
        ["head size differs"] = ("llama.rope.dimension_count 4 is not", f => f.Set("llama.rope.dimension_count", 4u)),
        ["vocab_size differs"] = ("tok_embeddings.weight has the shape (260, 32), expected (261, 32)", f => f.Set("llama.vocab_size", 261u)),
        ["transposed"] = ("w1.weight has the shape (32, 64), expected (64, 32)", f => f.Change(Gate, [64, 32])),
        ["tensor missing"] = ("the tensor layers.0.feed_forward.w1.weight is missing", f => f.RemoveTensor(Gate)),
        ["embedding missing"] = ("the tensor token_embd.weight is missing", f => f.RemoveTensor(Embedding)),
        ["a bias"] = ("has the tensor 'blk.0.attn_q.bias'", f => f.Add("blk.0.attn_q.bias", [32], 0, new byte[128])),
        ["experts"] = ("llama.expert_count is 8", f => f.Set("llama.expert_count", 8u)),
        ["a window"] = ("llama.attention.sliding_window is 4096", f => f.Set("llama.attention.sliding_window", 4096u)),
        ["yarn"] = ("llama.rope.scaling.type 'yarn'", f => f.Set("llama.rope.scaling.type", "yarn")),
    };

    private readonly TempFolder _folder = new();

    public static TheoryData<string> Names => [.. Cases.Keys];

    public void Dispose() => _folder.Dispose();

    [Theory, MemberData(nameof(Names))]
    public void Open_AHostileFile_NamesTheField(string name)
    {
        var (message, spoil) = Cases[name];
        Assert.Contains(message, AssertRefused(spoil(TinyGguf.Build()).Build()));
    }

    [Fact]
    public void Cases_AreAtLeastFifty() => Assert.InRange(Cases.Count, 50, int.MaxValue);

    [Fact]
    public void Open_EveryTruncation_IsOneClearError()
    {
        var whole = TinyGguf.Build().Build();
        const int Keys = 600; // in single bytes up to there, then in steps: pieces, tensors and numbers repeat
        for (var length = 0; length < whole.Length; length += length < Keys ? 1 : 89)
            AssertRefused(whole[..length]);
        AssertRefused([.. whole, .. new byte[32]]);
    }

    [Theory]
    [InlineData("Q8_0", 0x7E00)] // NaN
    [InlineData("Q8_0", 0x7C00)] // infinite
    [InlineData("Q4_0", 0xFE00)]
    public void Read_AScaleThatIsNoNumber_NamesTheTensor(string typeName, int scale)
    {
        var type = GgufType.All.Single(type => type.Name == typeName);
        var data = new byte[type.BytesOf(64 * 32)];
        BitConverter.TryWriteBytes(data.AsSpan(type.BlockBytes * 7), (ushort)scale);
        using var model = GgufModel.Open(_folder.Write("m.gguf", TinyGguf.Build(type).Change(Gate, data: data).Build()));
        var error = Assert.Throws<InvalidDataException>(() => model.Read(TensorNames.W1(0), new float[64 * 32]));
        Assert.Contains($"{Gate} has a block whose scale is not a finite number", error.Message);
    }

    [Fact]
    public void ReadVocabulary_AHostileTokenizer_NamesTheField()
    {
        AssertTokenizerRefused("tokenizer.ggml.model is 'gpt2'", file => file.Set("tokenizer.ggml.model", "gpt2"));
        AssertTokenizerRefused("holds no tokenizer", file => file.Remove("tokenizer.ggml.tokens"));
        AssertTokenizerRefused("tokenizer.ggml.tokens has 1 tokens, but token_embd.weight has 260 rows",
            file => file.Set("tokenizer.ggml.tokens", GgufBytes.Array, GgufBytes.ArrayValue(GgufBytes.Text, GgufBytes.TextValue("x"))));
        AssertTokenizerRefused("tokenizer.ggml.scores has 0 elements, but tokenizer.ggml.tokens has 260", file => file.Remove("tokenizer.ggml.scores"));
        AssertTokenizerRefused("tokenizer.ggml.token_type has 0 elements", file => file.Remove("tokenizer.ggml.token_type"));
        AssertTokenizerRefused("tokenizer.ggml.scores of token 0 is not a number", file => file.Set("tokenizer.ggml.scores", GgufBytes.Array,
            GgufBytes.ArrayValue(GgufBytes.F32, [.. Enumerable.Repeat(BitConverter.GetBytes(float.NaN), 260)])));
        AssertTokenizerRefused("tokenizer.ggml.token_type of token 0 is 9", file => file.Set("tokenizer.ggml.token_type", GgufBytes.Array,
            GgufBytes.ArrayValue(GgufBytes.I32, [.. Enumerable.Repeat(BitConverter.GetBytes(9), 260)])));
        AssertTokenizerRefused("tokenizer.ggml.tokens is of the type array of Int32", file => file.Set("tokenizer.ggml.tokens", GgufBytes.Array,
            GgufBytes.ArrayValue(GgufBytes.I32, [.. Enumerable.Repeat(BitConverter.GetBytes(9), 260)])));
        AssertTokenizerRefused("token 3 must be the byte <0x00>", file => file.Set("tokenizer.ggml.tokens", GgufBytes.Array,
            GgufBytes.ArrayValue(GgufBytes.Text, [.. Enumerable.Repeat(GgufBytes.TextValue("<0x-1>"), 260)])));
        AssertTokenizerRefused("bos_token_id is 5", file => file.Set("tokenizer.ggml.bos_token_id", 5u));
        AssertTokenizerRefused("add_bos_token is false", file => file.Set("tokenizer.ggml.add_bos_token", false));
    }

    private static GgufBytes Having(GgufBytes file, Action<GgufBytes> change)
    {
        change(file);
        return file;
    }

    private string AssertRefused(byte[] bytes)
    {
        var path = _folder.Write("hostile.gguf", bytes);
        var before = GC.GetAllocatedBytesForCurrentThread();
        var error = Assert.Throws<InvalidDataException>(() => GgufModel.Open(path));
        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, MaxAllocated);
        Assert.StartsWith(path + ": ", error.Message);
        Assert.DoesNotContain('\n', error.Message);
        return error.Message;
    }

    private void AssertTokenizerRefused(string message, Func<GgufBytes, GgufBytes> spoil)
    {
        var path = _folder.Write("hostile.gguf", spoil(TinyGguf.Build()).Build());
        Assert.Contains(message, Assert.Throws<InvalidDataException>(() => GgufVocabulary.Read(path)).Message);
    }
}
