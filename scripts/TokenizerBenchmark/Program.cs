// What scripts/bench-tokenizer.sh needs beside the programs that it compares: texts, our ids, and both .NET encoders in turns.
//   stories FOLDER           the stories of a folder as text, as a vocabulary is trained on them
//   varied MB | hostile MB   made-up text: few words often and many seldom; or hardly a word twice
//   ids MODEL TEXT           our ids, a line for each line, as spm_encode --output_format=id writes them
//   encode MODEL TEXT ROUNDS PEER_MB    MB/s of ours, MB/s of Microsoft.ML.Tokenizers on the first PEER_MB, milliseconds until ours was ready
using System.Globalization;
using LlamaFullstack.Benchmarks;

CultureInfo.CurrentCulture = CultureInfo.InvariantCulture;
using var output = new BufferedStream(Console.OpenStandardOutput(), 1 << 16);
switch (args[0])
{
    case "stories": MadeUpText.WriteStories(args[1], output); break;
    case "varied": MadeUpText.WriteVaried(int.Parse(args[1]) * 1_000_000L, output); break;
    case "hostile": MadeUpText.WriteHostile(int.Parse(args[1]) * 1_000_000L, output); break;
    case "ids": new EncodingBenchmark(args[1], args[2]).WriteIds(output); break;
    case "encode": new EncodingBenchmark(args[1], args[2]).Run(int.Parse(args[3]), int.Parse(args[4]) * 1_000_000, output); break;
    default: throw new ArgumentException($"{args[0]}: expected stories, varied, hostile, ids or encode.");
}
