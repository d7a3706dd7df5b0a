// Which stories a model is not trained on, so that its loss on them says what it has learned.

using System.Globalization;
using System.Numerics;
using System.Runtime.InteropServices;

namespace LlamaFullstack.Data.Datasets;

/// <summary>Which stories are kept for validation: a file, or a share of all stories.</summary>
/// <remarks>
/// A share is chosen by a hash of each story's text: the same stories on every machine and whatever else the dataset holds, and
/// a story that occurs twice is never on both sides.
/// </remarks>
public sealed record ValidationSplit
{
    private const string First = "first";

    private readonly string? _file;     // its name; null for a share
    private readonly double _share;

    private ValidationSplit(string? file, double share) => (_file, _share) = (file, share);

    /// <summary>The first file validates, as in llama2.c.</summary>
    public static ValidationSplit FirstFile { get; } = new(First, 0);

    /// <summary>A share of the stories validates.</summary>
    /// <param name="share">Above 0 and below 1.</param>
    /// <exception cref="ArgumentException">The share is not.</exception>
    public static ValidationSplit OfShare(double share) => share is > 0 and < 1
        ? new(null, share)
        : throw new ArgumentException($"--validation {share.ToString(CultureInfo.InvariantCulture)}: a share must be above 0 and below 1.");

    /// <summary>Reads what <see cref="ToString"/> writes: "first", a file's name, or a share such as "0.05".</summary>
    /// <exception cref="ArgumentException">The share is not between 0 and 1.</exception>
    public static ValidationSplit Parse(string text) =>
        double.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture, out var share) ? OfShare(share) : new(text, 0);

    /// <summary>Whether each story decides for itself.</summary>
    public bool IsByStory => _file is null;

    /// <summary>Those of a dataset's files that validate; none where the split is by story.</summary>
    /// <exception cref="ArgumentException">No file has the name.</exception>
    public IReadOnlySet<string> FilesOf(IReadOnlyList<string> files)
    {
        if (_file is null || files.Count == 0)
            return new HashSet<string>();
        var chosen = (_file == First ? files.Take(1) : files.Where(file => Path.GetFileName(file) == _file)).ToHashSet();
        return chosen.Count > 0 ? chosen
            : throw new ArgumentException($"--validation {_file}: no file has this name. Name a file of the dataset, a share such as 0.05, or {First}.");
    }

    /// <summary>Whether a story validates, where the split is by story.</summary>
    /// <param name="story">Its text, stripped.</param>
    public bool Takes(ReadOnlySpan<byte> story) => Hash(story) < _share * ulong.MaxValue;

    /// <inheritdoc/>
    public override string ToString() => _file ?? _share.ToString(CultureInfo.InvariantCulture);

    // Not a cryptographic hash: it has to be even, quick, and the same everywhere.
    private static ulong Hash(ReadOnlySpan<byte> text)
    {
        var hash = (ulong)text.Length;
        foreach (var word in MemoryMarshal.Cast<byte, ulong>(text))
            hash = Mixed(hash ^ word);
        foreach (var value in text[(text.Length & -sizeof(ulong))..])
            hash = Mixed(hash ^ value);
        return new SplitMix64(hash).Next();
    }

    private static ulong Mixed(ulong value) => BitOperations.RotateLeft(value * 0x9E3779B97F4A7C15, 31);
}
