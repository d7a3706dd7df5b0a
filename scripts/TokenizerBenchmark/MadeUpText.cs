// Texts of any size, the same on every machine.
using System.Text;
using LlamaFullstack.Data.Stories;

namespace LlamaFullstack.Benchmarks;

/// <summary>Writes text, one paragraph a line.</summary>
internal static class MadeUpText
{
    private const int Words = 200_000;

    private static readonly string[] Starts = "b c d f g h j k l m n p r s t v w z st tr br pl sh ch th gr".Split(' ');
    private static readonly string[] Vowels = "a e i o u ai ea ou ie".Split(' ');
    private static readonly string[] Ends = ["", "", "n", "r", "s", "t", "l", "ng", "ck"];

    public static void WriteStories(string folder, Stream output)
    {
        foreach (var file in Directory.GetFiles(folder, "*.json").Order(StringComparer.Ordinal))
        {
            using var reader = JsonStoryReader.Open(file);
            while (reader.Read())
            {
                output.Write(reader.Story);
                output.WriteByte((byte)'\n');
            }
        }
    }

    /// <summary>Word number n of 200,000 occurs about n times less often than the first: Zipf's law, which natural text follows.</summary>
    public static void WriteVaried(long bytes, Stream output)
    {
        var random = new Random(1);
        var words = Enumerable.Range(0, Words).Select(rank => Word(random, 1 + Math.Min(4, int.Log2(rank + 2) / 4))).ToArray();
        WriteLines(bytes, output, () => words[(int)Math.Exp(random.NextDouble() * Math.Log(Words))]);
    }

    /// <summary>Each word is made up anew, of two to six syllables.</summary>
    public static void WriteHostile(long bytes, Stream output)
    {
        var random = new Random(2);
        WriteLines(bytes, output, () => Word(random, 2 + random.Next(5)));
    }

    private static void WriteLines(long bytes, Stream output, Func<string> next)
    {
        var line = new StringBuilder();
        for (var written = 0L; written < bytes; written += line.Length)
        {
            line.Clear();
            for (var word = 0; word < 40; word++)
                line.Append(word == 0 ? "" : word % 10 == 0 ? ". " : " ").Append(next());
            output.Write(Encoding.UTF8.GetBytes(line.Append(".\n").ToString()));
        }
    }

    private static string Word(Random random, int syllables)
    {
        var word = new StringBuilder();
        for (; syllables > 0; syllables--)
            word.Append(Starts[random.Next(Starts.Length)]).Append(Vowels[random.Next(Vowels.Length)]).Append(Ends[random.Next(Ends.Length)]);
        return word.ToString();
    }
}
