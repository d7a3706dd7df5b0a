using LlamaFullstack.Run;

namespace LlamaFullstack.EndToEnd.Tests;

/// <summary>What --help prints.</summary>
public class HelpTests
{
    [Theory]
    [InlineData("Usage: llamafs COMMAND [options]")]
    [InlineData("Usage: llamafs data COMMAND [options]", "data")]
    [InlineData("Usage: llamafs data train_vocab [options]", "data", "train_vocab")]
    [InlineData("Usage: llamafs train [options]", "train")]
    [InlineData("Usage: llamafs export [OUT] [options]", "export")]
    [InlineData("Usage: llamafs verify A B [options]", "verify")]
    [InlineData("Usage: llamafs pull REPO [FILE] [options]", "pull")]
    [InlineData("Usage: llamafs run MODEL [options]", "run")]
    public void Help_OfEachCommand_SaysHowItIsCalled(string usage, params string[] command)
    {
        var help = Llamafs.Run([.. command, "--help"]).AssertSucceeds();
        Assert.Contains(usage, help.Out.Split('\n'));
        Assert.Equal("", help.Error);
        Assert.All(help.Out.Split('\n'), line => Assert.InRange(line.Length, 0, 100));
    }

    [Theory]
    [InlineData("Usage: llamafs COMMAND [options]", "help")]
    [InlineData("Usage: llamafs data pretokenize [options]", "help", "data", "pretokenize")]
    [InlineData("Usage: llamafs run MODEL [options]", "help", "run")]
    public void Help_AsACommand_IsHelp(string usage, params string[] args) => Assert.Contains(usage, Llamafs.Run(args).AssertSucceeds().Out.Split('\n'));

    [Fact]
    public void Help_OfTraining_ListsOptionsUnderTheirGroups()
    {
        var lines = Llamafs.Run("train", "--help").AssertSucceeds().Out.Split('\n').ToList();
        var headings = lines.FindAll(line => line.EndsWith(':') && !line.StartsWith(' '));
        Assert.Equal(["Options:", "Files:", "Data:", "Model:", "Optimizer:", "Evaluation:", "System:"], headings);
        Assert.InRange(lines.FindIndex(line => line.StartsWith("  --vocab_size ")), lines.IndexOf("Data:"), lines.IndexOf("Model:"));
        Assert.DoesNotContain(lines, line => line.Contains("  --vocab-size"));
    }

    [Fact]
    public void Help_OfANeededOption_SaysSo() =>
        Assert.Matches("(?m)^  --vocab_size +Required\\. ", Llamafs.Run("data", "train_vocab", "--help").AssertSucceeds().Out);

    [Theory]
    [InlineData("abc", 10, "abc", 3)]
    [InlineData("abc", 2, "ab", 2)]
    [InlineData("詩集.txt", 10, "詩集.txt", 8)]
    [InlineData("詩集.txt", 3, "詩", 2)]            // half of a letter cannot be drawn
    [InlineData("📚 e\u0301", 10, "📚 e\u0301", 4)]
    [InlineData("new\nline\u001b[2J", 20, "new\uFFFDline\uFFFD[2J", 12)]
    [InlineData("abc", 0, "", 0)]
    public void Columns_OfAnyScript_AreThoseOfATerminal(string line, int columns, string text, int taken) => Assert.Equal((text, taken), TextColumns.Fit(line, columns));

    [Fact]
    public void Page_OnANarrowTerminal_IsWrappedAtWords()
    {
        var page = new HelpPage("Does something that takes more than one line to say.", "it NAME [options]") { Note = "That is all." };
        page.Add(null, [("NAME", "Whose.")]);
        page.Add("Options", [("-n, --number", "How many of them there are to be, at the most."), ("--a_name_that_takes_its_line", "Rarely needed.")]);
        page.Add("Nothing", []);
        Assert.Equal(
            """
            Does something that takes more than one
            line to say.

            Usage: it NAME [options]

              NAME              Whose.

            Options:
              -n, --number      How many of them
                                there are to be, at
                                the most.
              --a_name_that_takes_its_line
                                Rarely needed.

            That is all.

            """, page.ToText(0).ReplaceLineEndings());
    }
}
