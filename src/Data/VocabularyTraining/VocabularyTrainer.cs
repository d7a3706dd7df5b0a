// Words → vocabulary: byte-pair encoding exactly as sentencepiece (0.1.99 and later) learns it.
using System.Text;
using LlamaFullstack.Core.Tokenization;

namespace LlamaFullstack.Data.VocabularyTraining;

/// <summary>Learns the pieces of a vocabulary from a text.</summary>
/// <remarks>
/// <para>
/// Byte-pair encoding: every word begins as its characters; again and again the most frequent pair of neighbours becomes a piece and is merged
/// wherever it occurs. The pieces, their order and scores are those that sentencepiece learns with llama2.c's settings.
/// </para>
/// <para>Ids: 0 to 2 the marks, 3 to 258 the bytes, then the learned pieces in order, then the characters by frequency.</para>
/// </remarks>
public static class VocabularyTrainer
{
    // sentencepiece chooses anew which pairs it looks at when so many pieces have been added.
    private const int RefreshInterval = 100;

    /// <summary>Trains a vocabulary.</summary>
    /// <param name="words">The words of the text.</param>
    /// <param name="settings">What to train.</param>
    /// <param name="progress">Told about every hundredth piece.</param>
    /// <param name="cancellation">Ends the training.</param>
    /// <exception cref="ArgumentException">The words were counted with another rule for spaces than the settings have.</exception>
    /// <exception cref="InvalidDataException">The text is empty, or the vocabulary is too small or too large for it.</exception>
    /// <exception cref="OperationCanceledException">The training was cancelled.</exception>
    public static TrainedVocabulary Train(
        WordCounts words,
        VocabularyTrainerSettings settings,
        IProgress<VocabularyTrainingProgress>? progress = null,
        CancellationToken cancellation = default)
    {
        if (words.RemoveExtraWhitespaces != settings.RemoveExtraWhitespaces)
            throw new ArgumentException("The words were counted with another remove_extra_whitespaces than the settings have.", nameof(words));
        if (words.DistinctWords == 0)
            throw new InvalidDataException(Empty(words));
        var alphabet = new Alphabet(words.Table, settings.CharacterCoverage);
        var smallest = Vocabulary.FirstText + alphabet.Characters.Count;
        if (settings.VocabSize < smallest)
            throw new InvalidDataException(FormattableString.Invariant(
                $"vocab_size {settings.VocabSize:N0} is too small for this text: it needs at least {smallest:N0} (3 marks, 256 bytes, {alphabet.Characters.Count:N0} characters). Raise vocab_size, or lower character_coverage to leave rare characters to the bytes."));

        var wanted = settings.VocabSize - smallest;
        var text = new SymbolText(words.Table, alphabet, settings.SplitDigits, wanted);
        var (learned, firstArbitrary) = Learn(text, wanted, progress, cancellation);
        if (learned.Count < wanted)
            throw new InvalidDataException(FormattableString.Invariant(
                $"vocab_size {settings.VocabSize:N0} is too large for this text: its words support at most {smallest + learned.Count:N0} pieces. Lower vocab_size, or train on more text."));

        var vocabulary = new Vocabulary
        {
            Pieces = Pieces(learned, alphabet),
            RemoveExtraWhitespaces = settings.RemoveExtraWhitespaces,
        };
        return new TrainedVocabulary(vocabulary, settings, learned.Count, alphabet.Characters.Count, alphabet.DroppedCharacters, firstArbitrary);
    }

    // The loop itself. Fewer pieces than wanted come back when nothing is left to merge.
    private static (List<string> Learned, int? FirstArbitrary) Learn(
        SymbolText text, int wanted, IProgress<VocabularyTrainingProgress>? progress, CancellationToken cancellation)
    {
        var queue = new PairQueue(text);
        var learned = new List<string>(wanted);
        var known = new HashSet<string>();
        int? firstArbitrary = null;
        while (learned.Count < wanted)
        {
            cancellation.ThrowIfCancellationRequested();
            if (learned.Count % RefreshInterval == 0)
                queue.Refresh();
            if (!queue.TryTake(out var pair))
                break;
            var piece = text.Text(pair);
            if (!known.Add(piece))
                continue; // made of other parts before ("aa" + "a" after "a" + "aa"): sentencepiece leaves it unmerged
            if (queue.IsArbitrary(pair))
                firstArbitrary ??= Vocabulary.FirstText + learned.Count;
            learned.Add(piece);
            if (learned.Count % RefreshInterval == 0)
                progress?.Report(new VocabularyTrainingProgress(learned.Count, wanted, piece.Replace(Vocabulary.SpaceSymbol, ' '), text.Frequency(pair)));
            queue.AddFrom(text.Merge(pair));
        }
        return (learned, firstArbitrary);
    }

    private static string Empty(WordCounts words)
    {
        if (words.Bytes == 0)
            return "no text to learn a vocabulary from: there is not a single byte. Add text.";
        return FormattableString.Invariant(
            $"no text to learn a vocabulary from: {words.Bytes:N0} bytes hold no word; {words.LongLines:N0} lines were skipped as longer than {VocabularyTrainerSettings.MaxLineBytes:N0} bytes, {words.ReservedLines:N0} because of U+2585. Add text, or break its lines.");
    }

    private static Piece[] Pieces(List<string> learned, Alphabet alphabet)
    {
        var pieces = new Piece[Vocabulary.FirstText + learned.Count + alphabet.Characters.Count];
        pieces[Vocabulary.Unk] = new Piece("<unk>"u8.ToArray(), 0, PieceType.Unknown);
        pieces[Vocabulary.Bos] = new Piece("<s>"u8.ToArray(), 0, PieceType.Control);
        pieces[Vocabulary.Eos] = new Piece("</s>"u8.ToArray(), 0, PieceType.Control);
        for (var value = 0; value < 256; value++)
            pieces[Vocabulary.FirstByte + value] = new Piece(Encoding.ASCII.GetBytes($"<0x{value:X2}>"), 0, PieceType.Byte);
        // The earlier a piece was learned, the higher its score: -0, -1, -2 … (the minus of the first is sentencepiece's).
        for (var id = Vocabulary.FirstText; id < pieces.Length; id++)
        {
            var index = id - Vocabulary.FirstText;
            var text = index < learned.Count ? learned[index] : char.ConvertFromUtf32(alphabet.Characters[index - learned.Count]);
            pieces[id] = new Piece(Encoding.UTF8.GetBytes(text.Replace(Vocabulary.SpaceSymbol, ' ')), -(float)index, PieceType.Normal);
        }
        return pieces;
    }
}
