// Our encoder and Microsoft.ML.Tokenizers, on one thread and in turns, line by line. Usage: MODEL TEXT [ROUNDS | ids]
// "ids" writes our ids, a line for each line of the text, as spm_encode --output_format=id does, for a comparison.
using System.Diagnostics;
using System.Globalization;
using LlamaFullstack.Core.Formats;
using Microsoft.ML.Tokenizers;

CultureInfo.CurrentCulture = CultureInfo.InvariantCulture;
var clock = Stopwatch.StartNew();
var tokenizer = new LlamaFullstack.Core.Tokenization.Tokenizer(SentencePieceModel.Read(args[0]).Vocabulary);
tokenizer.Encode("Once upon a time");
var ready = clock.Elapsed.TotalMilliseconds;

var text = File.ReadAllBytes(args[1]);
var lines = new List<ReadOnlyMemory<byte>>();
for (int start = 0, length; start < text.Length; start += length + 1)
{
    var end = text.AsSpan(start).IndexOf((byte)'\n');
    length = end < 0 ? text.Length - start : end;
    lines.Add(text.AsMemory(start, length));
}

if (args.Length > 2 && args[2] == "ids")
{
    using var output = new StreamWriter(Console.OpenStandardOutput(), bufferSize: 1 << 16);
    var ids = new List<int>();
    foreach (var line in lines)
    {
        ids.Clear();
        tokenizer.Encode(line.Span, ids);
        output.Write(string.Join(' ', ids));
        output.Write('\n');
    }
    return;
}

using var model = File.OpenRead(args[0]);
var microsoft = LlamaTokenizer.Create(model, addBeginOfSentence: false, addEndOfSentence: false);
var strings = lines.Select(line => System.Text.Encoding.UTF8.GetString(line.Span)).ToArray();
var rounds = args.Length > 2 ? int.Parse(args[2]) : 3;
var (ours, theirs) = (new double[rounds], new double[rounds]);
var (ourIds, theirIds) = (0L, 0L);
for (var round = 0; round < rounds; round++)
{
    ours[round] = Time(() => ourIds = EncodeOurs());
    theirs[round] = Time(() => theirIds = EncodeMicrosofts());
}
Console.WriteLine($"ready {ready:0.0} ms; ours {Speed(ours):0.0} MB/s, {ourIds} ids; Microsoft.ML.Tokenizers {Speed(theirs):0.00} MB/s, {theirIds} ids; ratio {Median(theirs) / Median(ours):0.0}");

long EncodeOurs()
{
    var count = 0L;
    var ids = new List<int>();
    foreach (var line in lines)
    {
        ids.Clear();
        tokenizer.Encode(line.Span, ids);
        count += ids.Count;
    }
    return count;
}

long EncodeMicrosofts() => strings.Sum(line => (long)microsoft.EncodeToIds(line).Count);

double Speed(double[] seconds) => text.Length / 1e6 / Median(seconds);

static double Median(double[] values) => values.Order().ElementAt(values.Length / 2);

static double Time(Action action)
{
    var clock = Stopwatch.StartNew();
    action();
    return clock.Elapsed.TotalSeconds;
}
