using System.Text;
using System.Text.Json;
using LlamaFullstack.Core.Formats;
using LlamaFullstack.Core.Tokenization;
using LlamaFullstack.Data;
using LlamaFullstack.Data.Tokens;
using LlamaFullstack.Training.Model;

namespace LlamaFullstack.Training;

/// <summary>
/// The folder that a run writes: config.json, tokenizer.bin, tokens.manifest (the hashes of tokenizer and data), ckpt.safetensors (the
/// last state saved), ckpt-UPDATE.safetensors (those that --keep asks for) and model.bin (the best model). What an earlier run left there
/// goes into previous1, previous2 and so on.
/// </summary>
internal sealed class RunFolder(TrainingConfig config)
{
    private const int SampleTokens = 100;
    private const double SampleTemperature = 0.8;

    // What a run leaves, the checkpoint last: while it is there, the folder holds a run.
    private static readonly string[] FilesOfARun =
        ["config.json", TokenManifest.FileName, "tokenizer.bin", RunMetrics.FileName, RunRecord.SamplesName, "loss.png", RunRecord.TensorBoardName, "model.bin",
         "ckpt-????????.safetensors", Training.Checkpoint.FileName];

    private Tokenizer? _tokenizer;
    private bool _hasModel = config.InitFrom == "resume" && File.Exists(Path.Combine(config.OutDir, "model.bin"));

    /// <summary>The checkpoint's file.</summary>
    public string Checkpoint { get; } = Path.Combine(config.OutDir, Training.Checkpoint.FileName);

    /// <summary>Writes what does not change during the run.</summary>
    /// <returns>What a person should know about it, a line each.</returns>
    /// <exception cref="InvalidDataException">The run is to go on with the tokens of another tokenizer than it began with, or the tokenizer is of another vocabulary; nothing is written then.</exception>
    public IReadOnlyList<string> Begin()
    {
        var notes = new List<string>();
        var data = new DataFolder(config.DataDir, config.Dataset);
        var tokens = data.Tokens(config.DataVocabSize);
        var own = Path.Combine(config.OutDir, TokenizerFile.DefaultName);
        var isSetAside = config.InitFrom != "resume" && File.Exists(Checkpoint); // an earlier run's files
        string[] places = [data.TokenizerBin(config.DataVocabSize), data.TokenizerModel(config.DataVocabSize), own]; // the second alone where llama2.c has made it
        var tokenizer = Array.Find(places, place => File.Exists(place) && !(isSetAside && place == own));
        var vocabulary = tokenizer is null ? null : ReadVocabulary(tokenizer);
        if ((config.InitFrom == "resume" ? FindChangeOfData(tokens) : SetEarlierRunAside()) is { } note)
            notes.Add(note);
        AtomicFile.WriteAllText(Path.Combine(config.OutDir, "config.json"), JsonSerializer.Serialize(config, TrainingJsonContext.Default.TrainingConfig) + "\n");
        var manifest = Path.Combine(tokens, TokenManifest.FileName);
        if (File.Exists(manifest))
            AtomicFile.WriteAllBytes(Path.Combine(config.OutDir, TokenManifest.FileName), File.ReadAllBytes(manifest));
        if (vocabulary is not null)
        {
            if (tokenizer != own)
                TokenizerBin.Write(own, vocabulary);
            _tokenizer = new Tokenizer(vocabulary);
        }
        else
            notes.Add($"{places[0]} is missing: to read what the model writes, put the tokenizer beside {Path.Combine(config.OutDir, "model.bin")} as tokenizer.bin");
        return notes;
    }

    private Vocabulary ReadVocabulary(string tokenizer)
    {
        var vocabulary = TokenizerFile.Read(tokenizer);
        return vocabulary.Count == config.VocabSize ? vocabulary : throw new InvalidDataException(
            $"{tokenizer}: has {vocabulary.Count:N0} tokens, but this run's vocabulary has {config.VocabSize:N0} (--vocab_size). Put that vocabulary's tokenizer there, or move this one away.");
    }

    // llama2.c writes over an earlier run. Here nothing that was learned is lost.
    private string? SetEarlierRunAside()
    {
        if (!File.Exists(Checkpoint))
            return null;
        var previous = Enumerable.Range(1, int.MaxValue).Select(number => Path.Combine(config.OutDir, $"previous{number}")).First(path => !Directory.Exists(path));
        Directory.CreateDirectory(previous);
        foreach (var path in FilesOfARun.SelectMany(name => Directory.GetFileSystemEntries(config.OutDir, name)))
            Directory.Move(path, Path.Combine(previous, Path.GetFileName(path)));
        return $"{config.OutDir} holds an earlier run: moved to {previous}. (--init_from=resume goes on with a run.)";
    }

    // Where a manifest is missing, as beside tokens of llama2.c's, nothing is known.
    private string? FindChangeOfData(string tokens)
    {
        if (TokenManifest.Read(config.OutDir) is not { } before || TokenManifest.Read(tokens) is not { } now)
            return null;
        if (before.TokenizerSha256 != now.TokenizerSha256)
            throw new InvalidDataException(
                $"{tokens}: made with another tokenizer than the run in {config.OutDir} learned with. Resume with that one's tokens, or begin a new run with another --out_dir.");
        static IEnumerable<(string, string, long, string)> Contents(TokenManifest manifest) =>
            manifest.Shards.Select(shard => (shard.Name, shard.Split, shard.Tokens, shard.SourceSha256));
        return Contents(before).SequenceEqual(Contents(now)) ? null
            : $"{tokens} holds other stories than when this run stopped: it goes on with them, but not as if it had never stopped.";
    }

    /// <summary>A text that the model writes, always with the same luck; null where the run has no tokenizer.</summary>
    public string? Sample(Transformer model)
    {
        if (_tokenizer is null)
            return null;
        try
        {
            var tokens = new TextSampler(model, SampleTemperature, topK: 0, config.Seed).Generate([Vocabulary.Bos], SampleTokens);
            // Shown and written as llamafs run shows text: who looks at samples.txt looks at it on a terminal.
            return Encoding.UTF8.GetString(new Utf8Stream().Push(Encoding.UTF8.GetBytes(_tokenizer.Decode([Vocabulary.Bos, .. tokens]))));
        }
        finally
        {
            model.train();
        }
    }

    /// <summary>Writes the checkpoint and, if the model is the best so far or the run has none yet, model.bin.</summary>
    public void Save(Transformer model, AdamW optimizer, TrainingState state, bool isBest)
    {
        // The model first: if the process dies between the two, a resumed run finds the same model to be the best once more.
        if (isBest || !_hasModel)
            ModelBinWriter.Write(Path.Combine(config.OutDir, "model.bin"), model, version: 0);
        _hasModel = true;
        Training.Checkpoint.Save(Checkpoint, model, optimizer, config, state);
        if (config.Keep > 0)
            KeepCopy(state.Iteration);
    }

    // The checkpoint just written stays under its update's number; the oldest of those go, once there are too many. Those of later
    // updates are from before the run was resumed further back, and will be written over.
    private void KeepCopy(long iteration)
    {
        var copy = Path.Combine(config.OutDir, $"ckpt-{iteration:D8}.safetensors");
        AtomicFile.Write(copy, stream =>
        {
            using var newest = File.OpenRead(Checkpoint);
            newest.CopyTo(stream);
        });
        foreach (var old in Directory.GetFiles(config.OutDir, "ckpt-????????.safetensors").Order(StringComparer.Ordinal).TakeWhile(path => path != copy).SkipLast(config.Keep - 1))
            File.Delete(old);
    }
}
