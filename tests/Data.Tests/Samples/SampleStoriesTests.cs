using System.Text.RegularExpressions;
using LlamaFullstack.Data.Samples;

namespace LlamaFullstack.Data.Tests.Samples;

public partial class SampleStoriesTests
{
    private static readonly string[] Stories = [.. SampleStories.Generate(seed: 0).Take(5000)];
    private static readonly string Text = string.Join("\n\n", Stories);

    [Fact]
    public void Generate_SameSeed_GivesTheSameStories() =>
        Assert.Equal(Stories.Take(500), SampleStories.Generate(seed: 0).Take(500));

    [Fact]
    public void Generate_OtherSeed_GivesOtherStories() =>
        Assert.Empty(Stories.Intersect(SampleStories.Generate(seed: 1).Take(500)));

    [Fact]
    public void Generate_FiveThousand_AreAllDifferent() =>
        Assert.Equal(Stories.Length, Stories.Distinct().Count());

    [Fact]
    public void Generate_Stories_HaveNoSlotLeft() => AssertNowhere(LeftOverGrammar());

    [Fact]
    public void Generate_Stories_UseAAndAnByTheNextLetter() => AssertNowhere(WrongArticle());

    [Fact]
    public void Generate_Stories_AreWellSpacedAndPunctuated()
    {
        AssertNowhere(BadSpacing());
        AssertNowhere(OpenParagraph());
        Assert.All(Stories, story => Assert.True(story.Count(letter => letter == '"') % 2 == 0, story));
    }

    [Fact]
    public void Generate_Stories_BeginEverySentenceWithACapital() => AssertNowhere(LowerCaseSentence());

    [Fact]
    public void Generate_HeroesAlone_AreHeOrSheThroughout()
    {
        // Where every name in a story is a girl's and no dad, grandpa, uncle or animal plays a part, nobody is a "he", and the other way round.
        var girls = Alone(SampleWords.Roles[0].Girls, SampleWords.Roles[0].Boys, Men()).ToArray();
        var boys = Alone(SampleWords.Roles[0].Boys, SampleWords.Roles[0].Girls, Women()).ToArray();
        Assert.True(girls.Length > 100 && boys.Length > 100);
        Assert.All(girls, story => Assert.DoesNotMatch(@"\b([Hh]e|[Hh]is|[Hh]im|[Hh]imself|boy)\b", story));
        Assert.All(boys, story => Assert.DoesNotMatch(@"\b([Ss]he|[Hh]ers?|[Hh]erself|girl)\b", story));
    }

    [Fact]
    public void Generate_EveryPlotCaseAndWay_IsTold()
    {
        // Drawing each of the plots' ways at random, 5,000 stories leave none of them out.
        var words = SampleWords.Lists.Where(list => list.Key is not "opening").SelectMany(list => list.Value).Where(word => !word.Contains('{'));
        Assert.All(words, word => Assert.Contains(word, Text, StringComparison.OrdinalIgnoreCase));
        Assert.All(SamplePlots.All.SelectMany(plot => plot.Cases.Select(row => row[0])).Where(word => !word.Contains('{')),
            word => Assert.Contains(word, Text, StringComparison.OrdinalIgnoreCase));
    }

    private static void AssertNowhere(Regex fault) =>
        Assert.Empty(fault.Matches(Text).Select(match => Text[Math.Max(0, match.Index - 40)..Math.Min(Text.Length, match.Index + 40)]));

    private static IEnumerable<string> Alone(string[] these, string[] others, Regex noOneElse)
    {
        var anyOfThese = new Regex($@"\b({string.Join('|', these)})\b");
        var anyOfOthers = new Regex($@"\b({string.Join('|', others)})\b");
        return Stories.Where(story => anyOfThese.IsMatch(story) && !anyOfOthers.IsMatch(story) && !noOneElse.IsMatch(story));
    }

    // The animals that help, and the dog next door, may be he or she.
    [GeneratedRegex(@"\b(dad|grandpa|uncle|dog|thunder|mailman|bird|owl|cat|turtle|deer|frog|goose)\b")]
    private static partial Regex Men();

    [GeneratedRegex(@"\b(mom|grandma|aunt|lady|girl across|bird|owl|cat|turtle|deer|frog|goose|dog)\b")]
    private static partial Regex Women();

    [GeneratedRegex(@"[][{}|;:/]")]
    private static partial Regex LeftOverGrammar();

    [GeneratedRegex(@"\b[Aa] [aeiouAEIOU]|\b[Aa]n [^aeiouAEIOU]")]
    private static partial Regex WrongArticle();

    [GeneratedRegex(@"  | \n|\n | [.,!?]|\.\.|[.!?],|,[.!?]|[?!][.?!]")]
    private static partial Regex BadSpacing();

    // A paragraph begins with a capital letter or a quote, and ends with a full stop.
    [GeneratedRegex(@"(?<=^|\n)[^A-Z""\n]|[^.!?""\n](?=\n|$)|[^.!?]""(?=\n|$)")]
    private static partial Regex OpenParagraph();

    [GeneratedRegex(@"(?<!"")[.!?] ""?[a-z]|[.]"" [a-z]")]
    private static partial Regex LowerCaseSentence();
}
