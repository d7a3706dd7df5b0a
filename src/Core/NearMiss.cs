namespace LlamaFullstack.Core;

/// <summary>The word that a person may have meant.</summary>
public static class NearMiss
{
    private const int MostEdits = 2;

    /// <summary>" Did you mean NAME?", or nothing where no name is near: where more than two letters, or a third of the word, would have to change.</summary>
    /// <param name="word">What was given.</param>
    /// <param name="names">What is known.</param>
    public static string Hint(string word, IEnumerable<string> names)
    {
        var (edits, name) = names.Select(known => (Edits(Plain(word), Plain(known)), known)).DefaultIfEmpty((int.MaxValue, "")).MinBy(pair => pair.Item1);
        return edits <= MostEdits && edits * 3 <= word.Length ? $" Did you mean {name}?" : "";
    }

    // vocabsize, vocab-size and Vocab_Size are all vocab_size.
    private static string Plain(string word) => word.Replace("-", "").Replace("_", "").ToLowerInvariant();

    /// <summary>Levenshtein's distance; two neighbours that changed places are one edit, too.</summary>
    private static int Edits(string a, string b)
    {
        var d = new int[a.Length + 1, b.Length + 1];
        for (var i = 0; i <= a.Length; i++)
            for (var j = 0; j <= b.Length; j++)
            {
                d[i, j] = i == 0 ? j : j == 0 ? i : Math.Min(Math.Min(d[i - 1, j], d[i, j - 1]) + 1, d[i - 1, j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1));
                if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                    d[i, j] = Math.Min(d[i, j], d[i - 2, j - 2] + 1);
            }
        return d[a.Length, b.Length];
    }
}
