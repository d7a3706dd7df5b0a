using System.Text.Json;

namespace LlamaFullstack.EndToEnd.Tests;

public class BenchTests
{
    [Fact]
    public void Bench_AShapeAsJson_PrintsALineForEachNumberOfThreadsAndKeepsTheModel()
    {
        using var folder = new TempFolder();
        var run = Llamafs.Run("bench", "--shape", "260K", "--type", "int8", "--threads", "1,2", "-r", "1", "--json", "--keep", folder.File("model.bin")).AssertSucceeds();
        var threads = run.Out.TrimEnd().Split('\n').Select(line => JsonDocument.Parse(line).RootElement.GetProperty("result").GetProperty("threads").GetInt32());
        Assert.Equal([1, 2], threads);

        var card = Llamafs.Run("bench", folder.File("model.bin"), "-r", "1").AssertSucceeds().Out;
        Assert.Contains("int8", card);
        Assert.Contains("decode", card);
        Assert.DoesNotContain("NaN", card);
    }

    [Theory]
    [InlineData("give a model file, or --shape for random weights.")]
    [InlineData("--shape 3M: expected one of 260K, 15M, 42M, 110M, 1.1B.", "--shape", "3M")]
    [InlineData("--shape 3M=: expected one of 260K", "--shape=3M=")]
    [InlineData("--type: is for random weights, but m.bin is a model file.", "m.bin", "--type", "int8")]
    [InlineData("--type bf16: expected one of fp32, int8, int4.", "--shape", "260K", "--type", "bf16")]
    [InlineData("--threads 1,x: expected numbers between 1 and 1024, such as 1,2,4.", "--shape", "260K", "--threads", "1,x")]
    [InlineData("--repeats 0: expected 1 or more.", "--shape", "260K", "--repeats", "0")]
    [InlineData("--tokens 64 from --position 500 on: the model's context is 512.", "--shape", "260K", "--position", "500", "--tokens", "64")]
    public void Bench_AWrongOption_IsAUsageError(string message, params string[] args) =>
        Llamafs.Run(["bench", .. args]).AssertFails(2, message);
}
