using System.Globalization;
using System.Text;
using LlamaFullstack.Core.Formats;
using LlamaFullstack.Core.Tokenization;
using LlamaFullstack.Data.VocabularyTraining;

namespace LlamaFullstack.Data.Tests.SentencePiece;

/// <summary>The ids of Debian's sentencepiece, the program itself, for 100,000 lines a model.</summary>
public class SpmEncodeTests
{
    private const int Lines = 100_000;

    [Fact]
    public void Encode_Llama2_GivesSentencepiecesIds() => Compare(Fixtures.Path("llama2-tokenizer", "tokenizer.model"));

    [Fact]
    public void Encode_Tok512_GivesSentencepiecesIds() => Compare(Fixtures.Path("stories260K", "tok512.model"));

    [Theory]
    [InlineData(3000, true, 1f)]
    [InlineData(4000, false, 0.9995f)]
    public void Encode_AVocabularyTrainedHere_GivesSentencepiecesIds(int vocabSize, bool removeExtraWhitespaces, float coverage)
    {
        using var temp = new TempFolder();
        var settings = new VocabularyTrainerSettings { VocabSize = vocabSize, RemoveExtraWhitespaces = removeExtraWhitespaces, CharacterCoverage = coverage };
        var words = new WordCounts(removeExtraWhitespaces);
        var llama2 = SentencePieceModel.Read(Fixtures.Path("llama2-tokenizer", "tokenizer.model")).Vocabulary;
        var text = new RandomText(llama2, seed: 1);
        for (var line = 0; line < 2000; line++)
            words.Add(Encoding.UTF8.GetBytes(text.Line()));
        var folder = new DataFolder(temp.Path, "trained");
        VocabularyFiles.Write(folder, VocabularyTrainer.Train(words, settings));
        Compare(folder.TokenizerModel(vocabSize));
    }

    private static void Compare(string model)
    {
        using var temp = new TempFolder();
        var tokenizer = new Tokenizer(SentencePieceModel.Read(model).Vocabulary);
        var text = new RandomText(tokenizer.Vocabulary, seed: 2);
        var lines = Enumerable.Range(0, Lines).Select(_ => text.Line()).ToArray();
        var input = temp.Write("lines.txt", Encoding.UTF8.GetBytes(string.Join('\n', lines) + "\n"));
        var theirs = SystemProgram.Run("spm_encode", $"--model={model}", "--output_format=id", $"--input={input}").Split('\n');
        Assert.Equal(Lines, theirs.Length - 1);
        for (var line = 0; line < Lines; line++)
        {
            var ours = string.Join(' ', tokenizer.Encode(lines[line]).Select(id => id.ToString(CultureInfo.InvariantCulture)));
            if (ours != theirs[line])
                Assert.Fail($"line {line}, {Convert.ToHexString(Encoding.UTF8.GetBytes(lines[line]))}: {ours}, but sentencepiece gives {theirs[line]}");
            if (!tokenizer.Vocabulary.RemoveExtraWhitespaces)
                Assert.Equal(Encoding.UTF8.GetString(Encoding.UTF8.GetBytes(lines[line])).Replace('\u2581', ' '), tokenizer.Decode(tokenizer.Encode(lines[line])));
        }
    }
}
