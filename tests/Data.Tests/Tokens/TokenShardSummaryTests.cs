using LlamaFullstack.Data.Tokens;

namespace LlamaFullstack.Data.Tests.Tokens;

public sealed class TokenShardSummaryTests : IDisposable
{
    private readonly TempFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Theory]
    [InlineData("data00.bin", 2)]
    [InlineData("data00.u32", 4)]
    public void Of_TwoStories_CountsThem(string name, int tokenSize)
    {
        uint[] tokens = [1, 300, 7, 1, 511];
        var path = _folder.Write(name, [.. tokens.SelectMany(token => BitConverter.GetBytes(token)[..tokenSize])]);
        Assert.True(TokenShardSummary.Recognises(path));
        var found = TokenShardSummary.Of(path);
        Assert.Equal((tokenSize, 5L, 2L, 511L, (int?)null), (found.TokenSize, found.Tokens, found.Stories, found.LargestId, found.VocabSize));
        Assert.Empty(found.Problems);
    }

    [Fact]
    public void Of_AShardThatIsNotTheManifests_SaysWhatDiffers()
    {
        var path = _folder.Write("data00.bin", [1, 0, 0, 2, 5, 0]);
        new TokenManifest("uint16", 512, "", "", true, [new TokenShardEntry("data00.bin", TokenShardEntry.Train, 9, 1, ["data00.json"], 0, "")]).Write(_folder.Path);
        var problems = TokenShardSummary.Of(path).Problems;
        Assert.Contains("has the token 512, but the vocabulary has 512 pieces", problems[0]);
        Assert.Contains("has 3 tokens, but tokens.manifest says 9", problems[1]);
    }

    [Fact]
    public void Recognises_ModelsAndTokenizers_AreNone()
    {
        Assert.False(TokenShardSummary.Recognises(Fixtures.Path("stories260K", "stories260K.bin")));
        Assert.False(TokenShardSummary.Recognises(Fixtures.Path("stories260K", "tok512.bin")));
        Assert.False(TokenShardSummary.Recognises(_folder.File("missing.bin")));
        Assert.False(TokenShardSummary.Recognises(_folder.Write("empty.bin", [])));
    }
}
