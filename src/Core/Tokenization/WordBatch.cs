using System.Runtime.CompilerServices;

namespace LlamaFullstack.Core.Tokenization;

/// <summary>Short stretches of a text that are merged in turns: the next merge of one waits for its last, and meanwhile a processor does those of the others.</summary>
/// <remarks>Not for use by two threads at once.</remarks>
internal sealed class WordBatch
{
    private const int MaxWords = 4;

    private readonly ShortWord[] _words = new ShortWord[MaxWords];
    private readonly ShortWord[] _unfinished = new ShortWord[MaxWords];
    private int _count;

    /// <summary>An empty batch.</summary>
    public WordBatch(PieceTable table, UnionCache unions)
    {
        for (var word = 0; word < MaxWords; word++)
            _words[word] = new ShortWord(table, unions);
    }

    /// <summary>The stretches, in the order in which they came.</summary>
    public ReadOnlySpan<ShortWord> Words => _words.AsSpan(0, _count);

    /// <summary>Whether no other fits in.</summary>
    public bool IsFull => _count == MaxWords;

    /// <summary>Forgets all.</summary>
    public void Clear() => _count = 0;

    /// <summary>Adds a stretch of a text, of <see cref="ShortWord.MaxBytes"/> at most.</summary>
    public void Add(ReadOnlySpan<byte> text, int start, int length) => _words[_count++].Begin(text, start, length);

    /// <summary>Merges in all stretches until there is nothing to merge.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    public void Merge(ReadOnlySpan<byte> text)
    {
        var unfinished = _unfinished.AsSpan(0, _count);
        Words.CopyTo(unfinished);
        while (!unfinished.IsEmpty)
            for (var word = unfinished.Length - 1; word >= 0; word--)
                if (!unfinished[word].TryMerge(text))
                {
                    unfinished[word] = unfinished[^1];
                    unfinished = unfinished[..^1];
                }
    }
}
