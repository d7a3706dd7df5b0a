using System.Runtime.InteropServices;
using System.Security.Cryptography;
using LlamaFullstack.Core.Formats;

namespace LlamaFullstack.Inference.Tests;

/// <summary>Strict arithmetic against runq.c, bit for bit.</summary>
public sealed class StrictTests
{
    // SHA-256 of the logits that llama2.c's runq.c computes for these ids, one after the other; clang 19 -O3 -ffp-contract=off, with and
    // without -march=native. Groups of 64 have kernels of their own, groups of 4 are computed by the scalar ones.
    [Theory]
    [InlineData("train-checkpoint/model_v0.bin", "train-checkpoint/tokens_trainckpt_greedy_64.txt", 64, "1f10312f68e895a100a76f6fe252fce1966fac56c2e30b478fd04e74f71f84e4")]
    [InlineData("stories260K/stories260K.bin", "stories260K/tokens_260K_greedy_200.txt", 4, "fc7223fc09f1c2d51f7fbf2e92b27111e8fdc2b4ee26bc9b07d28d19e2048a21")]
    public void Forward_StrictVersion2_GivesTheBitsOfRunqC(string source, string tokens, int groupSize, string expected)
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "the C library's exp, sin and cos decide the last bits: the hashes are of glibc's");
        using var folder = new TempFolder();
        var path = folder.File("v2.bin");
        using (var weights = ModelBinFile.Open(Fixtures.Path(source.Split('/'))))
            ModelBinWriter.Write(path, weights, version: 2, groupSize);
        using var model = LlamaModel.Open(path);
        foreach (var threads in new[] { 1, 2, 3 })
        {
            using var transformer = new Transformer(model, new EngineOptions { Strict = true, Threads = threads });
            using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
            var ids = Fixtures.Ids(tokens.Split('/'));
            for (var pos = 0; pos < ids.Length; pos++)
                hash.AppendData(MemoryMarshal.AsBytes(transformer.Forward(ids[pos], pos)));
            Assert.Equal(expected, Convert.ToHexStringLower(hash.GetHashAndReset()));
        }
    }

    [Fact]
    public void Forward_StrictAPromptAtOnce_GivesTheBitsOfTokenByToken()
    {
        using var folder = new TempFolder();
        using var model = LlamaModel.Open(Stories260K.WriteAs(2, folder));
        using var transformer = new Transformer(model, new EngineOptions { Strict = true });
        var ids = Stories260K.GreedyIds[..40];
        var expected = Array.Empty<float>();
        for (var pos = 0; pos < ids.Length; pos++)
            expected = transformer.Forward(ids[pos], pos).ToArray();
        Assert.Equal(expected, transformer.Forward(ids, 0).ToArray());
    }
}
