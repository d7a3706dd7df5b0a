// The words of the sample stories: who may act in them, and the lists that a plot's slots draw from. Every word is one
// that a small child knows. Only singular nouns that take "a" or "an" by their first letter stand in a list.

namespace LlamaFullstack.Data.Samples;

/// <summary>A part that somebody plays in every story.</summary>
/// <param name="Name">The slot of the name; the slot of the kind is "NAME kind".</param>
/// <param name="Girls">Names where it is a she.</param>
/// <param name="Boys">Names where it is a he.</param>
/// <param name="GirlKinds">What she may be; none where the name says it already.</param>
/// <param name="BoyKinds">What he may be.</param>
internal sealed record Role(string Name, string[] Girls, string[] Boys, string[] GirlKinds, string[] BoyKinds);

internal static class SampleWords
{
    private static readonly string[] GirlNames =
    [
        "Lily", "Mia", "Anna", "Sara", "Lucy", "Ella", "Rosie", "Molly", "Nina", "Zoe", "Emma", "Daisy", "Ruby", "Amy", "Jane", "Kate",
    ];

    private static readonly string[] BoyNames =
    [
        "Tom", "Ben", "Max", "Tim", "Sam", "Leo", "Jack", "Finn", "Toby", "Oscar", "Billy", "Pete", "Hugo", "Joe", "Danny", "Luke",
    ];

    private static readonly string[] Animals = ["rabbit", "bear", "fox", "mouse", "squirrel", "hedgehog", "pig", "lamb", "monkey", "raccoon"];

    private static readonly string[] GirlKinds = [.. Enumerable.Repeat("girl", Animals.Length), .. Animals];

    private static readonly string[] BoyKinds = [.. Enumerable.Repeat("boy", Animals.Length), .. Animals];

    private static readonly string[] Helpers = ["small bird", "old owl", "gray cat", "tall deer", "wise turtle", "brown dog", "green frog", "white goose"];

    /// <summary>Who is in every story, whether a plot speaks of them or not.</summary>
    public static readonly Role[] Roles =
    [
        new("hero", GirlNames, BoyNames, GirlKinds, BoyKinds),
        new("friend", GirlNames, BoyNames, GirlKinds, BoyKinds),
        new("elder", ["mom", "mom", "grandma", "aunt"], ["dad", "dad", "grandpa", "uncle"], [], []),
        new("helper", Helpers, Helpers, [], []),
    ];

    /// <summary>What a pronoun becomes where it stands for a girl.</summary>
    public static readonly Dictionary<string, string> Pronouns = new()
    {
        ["he"] = "she",
        ["him"] = "her",
        ["his"] = "her",
        ["himself"] = "herself",
    };

    /// <summary>Words by slot. A word may hold slots and alternatives itself.</summary>
    public static readonly Dictionary<string, string[]> Lists = new()
    {
        ["opening"] =
        [
            "Once upon a time, there was {a trait} {hero kind} named {hero}.",
            "Once upon a time, there was a little {hero kind} named {hero}. {He} was very {trait}.",
            "Once upon a time, in a {home}, there lived {a trait} {hero kind} named {hero}.",
            "Once there was {a trait} {hero kind} called {hero}. {He} lived in a {home} with {his} [mom and dad|family].",
            "{Hero} was {a trait} {hero kind} who lived in a {home}.",
            "There once was {a trait} {hero kind} whose name was {hero}.",
        ],
        ["trait"] = ["kind", "brave", "happy", "curious", "clever", "shy", "cheerful", "gentle", "playful", "friendly", "funny", "eager"],
        ["home"] =
        [
            "small house by the river", "little house near the forest", "quiet village", "big town by the sea", "cozy house on a hill",
            "warm little house at the end of the road",
        ],
        ["day"] =
        [
            "one day", "one day", "one morning", "one afternoon", "one sunny day", "one bright morning", "one warm day",
        ],
        ["color"] = ["red", "blue", "green", "yellow", "orange", "purple", "white", "pink"],
        ["toy"] = ["ball", "toy car", "toy boat", "kite", "truck", "toy train", "doll", "drum", "robot", "teddy bear", "hat", "yo-yo"],
        ["treat"] =
        [
            "basket of berries", "box of cookies", "bag of nuts", "jar of honey", "plate of pancakes", "bowl of cherries",
            "big chocolate cake", "apple pie", "bag of sweet plums",
        ],
        ["indoors"] = ["under the bed", "in the kitchen", "behind the door", "in the toy box", "under the table", "behind the sofa", "in the closet"],
        ["outdoors"] = ["in the garden", "in the park", "near the pond", "by the old tree", "on the hill", "at the edge of the forest"],
        ["game"] = ["tag", "hide and seek", "catch", "pirates", "follow the leader"],
        ["joy"] = ["clapped {his} hands", "jumped up and down", "laughed out loud", "smiled a big smile", "danced in a circle"],
        ["sorrow"] = ["felt very sad", "sat down and began to cry", "did not know what to do", "wanted to cry"],
    };
}
