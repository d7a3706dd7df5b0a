// The sample dataset's text: short, simple stories that need no download and no licence but this project's own.

using System.Runtime.InteropServices;
using System.Security.Cryptography;

namespace LlamaFullstack.Data.Samples;

/// <summary>Makes short stories in simple words, no two the same.</summary>
public static class SampleStories
{
    /// <summary>
    /// Stories without end. The same seed gives the same stories on every machine and in every version that keeps the words
    /// and plots; the stories are the same however many are taken.
    /// </summary>
    /// <param name="seed">Any value; each gives other stories.</param>
    public static IEnumerable<string> Generate(ulong seed)
    {
        var random = new SplitMix64(seed);
        var teller = new StoryTeller(random);
        var told = new HashSet<UInt128>();      // of what was told only the hash is kept: 16 bytes a story
        while (true)
        {
            var story = teller.Tell(SamplePlots.All[random.Below(SamplePlots.All.Length)]);
            if (told.Add(Hash(story)))
                yield return story;
        }
    }

    private static UInt128 Hash(string story) => MemoryMarshal.Read<UInt128>(SHA256.HashData(MemoryMarshal.AsBytes(story.AsSpan())));
}
