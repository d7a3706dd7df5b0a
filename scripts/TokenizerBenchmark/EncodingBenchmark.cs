// Encoding line by line on one thread: ours, and Microsoft.ML.Tokenizers in turns with it.
using System.Diagnostics;
using System.Text;
using LlamaFullstack.Core.Formats;
using Microsoft.ML.Tokenizers;
using Tokenizer = LlamaFullstack.Core.Tokenization.Tokenizer;

namespace LlamaFullstack.Benchmarks;

/// <summary>A model and a text that is in memory, as bytes for ours and as strings for Microsoft's: each takes what it likes best.</summary>
internal sealed class EncodingBenchmark
{
    private readonly string _model;
    private readonly Tokenizer _tokenizer;
    private readonly double _readyMilliseconds;
    private readonly byte[] _text;
    private readonly List<ReadOnlyMemory<byte>> _lines = [];

    public EncodingBenchmark(string model, string textPath)
    {
        var clock = Stopwatch.StartNew();
        _model = model;
        _tokenizer = new Tokenizer(SentencePieceModel.Read(model).Vocabulary);
        _tokenizer.Encode("Once upon a time");
        _readyMilliseconds = clock.Elapsed.TotalMilliseconds;

        _text = File.ReadAllBytes(textPath);
        for (int start = 0, length; start < _text.Length; start += length + 1)
        {
            var end = _text.AsSpan(start).IndexOf((byte)'\n');
            length = end < 0 ? _text.Length - start : end;
            _lines.Add(_text.AsMemory(start, length));
        }
    }

    public void WriteIds(Stream output)
    {
        using var writer = new StreamWriter(output, bufferSize: 1 << 16);
        var ids = new List<int>();
        foreach (var line in _lines)
        {
            ids.Clear();
            _tokenizer.Encode(line.Span, ids);
            writer.Write(string.Join(' ', ids));
            writer.Write('\n');
        }
    }

    public void Run(int rounds, int peerBytes, Stream output)
    {
        using var stream = File.OpenRead(_model);
        var microsoft = LlamaTokenizer.Create(stream, addBeginOfSentence: false, addEndOfSentence: false);
        var (peerLength, strings) = (0L, new List<string>());
        foreach (var line in _lines)
        {
            if (peerLength >= peerBytes)
                break;
            peerLength += line.Length + 1;
            strings.Add(Encoding.UTF8.GetString(line.Span));
        }

        var ours = new double[rounds];
        var theirs = new double[rounds];
        for (var round = 0; round < rounds; round++)
        {
            ours[round] = Seconds(EncodeOurs);
            theirs[round] = Seconds(() => strings.Sum(line => microsoft.EncodeToIds(line).Count));
        }
        using var writer = new StreamWriter(output);
        writer.WriteLine($"{_text.Length / 1e6 / Median(ours):0.0} {peerLength / 1e6 / Median(theirs):0.00} {_readyMilliseconds:0}");
    }

    private long EncodeOurs()
    {
        var count = 0L;
        var ids = new List<int>();
        foreach (var line in _lines)
        {
            ids.Clear();
            _tokenizer.Encode(line.Span, ids);
            count += ids.Count;
        }
        return count;
    }

    private static double Median(double[] values) => values.Order().ElementAt(values.Length / 2);

    private static double Seconds(Func<long> encode)
    {
        var clock = Stopwatch.StartNew();
        encode();
        return clock.Elapsed.TotalSeconds;
    }
}
