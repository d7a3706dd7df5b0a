using System.Text.RegularExpressions;
using LlamaFullstack.Data.Samples;

namespace LlamaFullstack.Data.Tests.Samples;

public partial class SampleStoriesTests
{
    private static readonly string[] Stories = [.. SampleStories.Generate(seed: 0).Take(5000)];

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
    public void Generate_Stories_HaveNoSlotLeft() =>
        Assert.All(Stories, story => Assert.DoesNotMatch("[][{}|;:/]", story));

    [Fact]
    public void Generate_Stories_UseAAndAnByTheNextLetter() =>
        Assert.All(Stories, story => Assert.DoesNotMatch(WrongArticle(), story));

    [Fact]
    public void Generate_Stories_AreWellSpacedAndPunctuated() =>
        Assert.All(Stories, story =>
        {
            Assert.DoesNotMatch(BadSpacing(), story);
            Assert.All(story.Split('\n'), paragraph => Assert.Matches(Paragraph(), paragraph));
            Assert.True(story.Count(letter => letter == '"') % 2 == 0, story);
        });

    [Fact]
    public void Generate_Stories_BeginEverySentenceWithACapital() =>
        Assert.All(Stories, story => Assert.DoesNotMatch(LowerCaseSentence(), story));

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
        var text = string.Join('\n', Stories);
        Assert.All(words, word => Assert.Contains(word, text, StringComparison.OrdinalIgnoreCase));
        Assert.All(SamplePlots.All.SelectMany(plot => plot.Cases.Select(row => row[0])).Where(word => !word.Contains('{')),
            word => Assert.Contains(word, text, StringComparison.OrdinalIgnoreCase));
    }

    private static IEnumerable<string> Alone(string[] these, string[] others, Regex noOneElse) =>
        Stories.Where(story => these.Any(name => Regex.IsMatch(story, $@"\b{name}\b"))
            && !others.Any(name => Regex.IsMatch(story, $@"\b{name}\b")) && !noOneElse.IsMatch(story));

    // The animals that help, and the dog next door, may be either.
    [GeneratedRegex(@"\b(dad|grandpa|uncle|dog|thunder|mailman|bird|owl|cat|turtle|deer|frog|goose)\b")]
    private static partial Regex Men();

    [GeneratedRegex(@"\b(mom|grandma|aunt|lady|girl across|bird|owl|cat|turtle|deer|frog|goose|dog)\b")]
    private static partial Regex Women();

    [GeneratedRegex(@"\b[Aa] [aeiouAEIOU]|\b[Aa]n [^aeiouAEIOU]")]
    private static partial Regex WrongArticle();

    [GeneratedRegex(@"  | \n|\n |\n\n| [.,!?]|\.\.|[.!?],|,[.!?]|[?!][.?!]")]
    private static partial Regex BadSpacing();

    [GeneratedRegex(@"^[A-Z""][\s\S]*[.!?]""?$")]
    private static partial Regex Paragraph();

    [GeneratedRegex(@"(?<!"")[.!?] ""?[a-z]|[.]"" [a-z]|(^|\n)""?[a-z]")]
    private static partial Regex LowerCaseSentence();
}
