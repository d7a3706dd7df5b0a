using System.Text.Json;
using LlamaFullstack.Core.Formats;
using LlamaFullstack.Core.Tokenization;
using LlamaFullstack.Data;
using LlamaFullstack.Data.Tokens;
using LlamaFullstack.Training.Model;

namespace LlamaFullstack.Training;

/// <summary>
/// The folder that a run writes: config.json, tokenizer.bin, tokens.manifest (the hashes of tokenizer and data), ckpt.safetensors (the
/// last state saved), ckpt-UPDATE.safetensors (those that --keep asks for) and model.bin (the best model).
/// </summary>
internal sealed class RunFolder(TrainingConfig config)
{
    private const int SampleTokens = 100;
    private const double SampleTemperature = 0.8;

    private Tokenizer? _tokenizer;
    private bool _hasModel = config.InitFrom == "resume" && File.Exists(Path.Combine(config.OutDir, "model.bin"));

    /// <summary>The checkpoint's file.</summary>
    public string Checkpoint { get; } = Path.Combine(config.OutDir, Training.Checkpoint.FileName);

    /// <summary>Writes what does not change during the run.</summary>
    /// <returns>What a person should know about it, a line each.</returns>
    public IReadOnlyList<string> Begin()
    {
        var notes = new List<string>();
        if (SetEarlierRunAside() is [_, ..] kept)
            notes.Add($"{config.OutDir} holds an earlier run: kept as {string.Join(" and ", kept)}. (--init_from=resume goes on with a run.)");
        AtomicFile.WriteAllText(Path.Combine(config.OutDir, "config.json"), JsonSerializer.Serialize(config, TrainingJsonContext.Default.TrainingConfig) + "\n");
        var data = new DataFolder(config.DataDir, config.Dataset);
        var manifest = Path.Combine(data.Tokens(config.DataVocabSize), TokenManifest.FileName);
        if (File.Exists(manifest))
            AtomicFile.WriteAllBytes(Path.Combine(config.OutDir, TokenManifest.FileName), File.ReadAllBytes(manifest));
        var tokenizer = data.TokenizerBin(config.DataVocabSize);
        if (!File.Exists(tokenizer))
            notes.Add($"{tokenizer} is missing: to read what the model writes, put the tokenizer beside {Path.Combine(config.OutDir, "model.bin")} as tokenizer.bin");
        else
        {
            AtomicFile.WriteAllBytes(Path.Combine(config.OutDir, "tokenizer.bin"), File.ReadAllBytes(tokenizer));
            _tokenizer = new Tokenizer(TokenizerFile.Read(tokenizer, tokenizer, config.VocabSize));
        }
        return notes;
    }

    // llama2.c writes over an earlier run. Here nothing that was learned is lost without a word.
    private List<string> SetEarlierRunAside()
    {
        var kept = new List<string>();
        if (config.InitFrom != "scratch" || config.EvalOnly || !File.Exists(Checkpoint))
            return kept;
        foreach (var path in new[] { Checkpoint, Path.Combine(config.OutDir, "model.bin") }.Where(File.Exists))
        {
            kept.Add(Path.ChangeExtension(path, $".previous{Path.GetExtension(path)}"));
            File.Move(path, kept[^1], overwrite: true);
        }
        return kept;
    }

    /// <summary>A text that the model writes, always with the same luck; null where the run has no tokenizer.</summary>
    public string? Sample(Transformer model)
    {
        if (_tokenizer is null)
            return null;
        try
        {
            var tokens = new TextSampler(model, SampleTemperature, topK: 0, config.Seed).Generate([Vocabulary.Bos], SampleTokens);
            return _tokenizer.Decode([Vocabulary.Bos, .. tokens]);
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

    /// <summary>The checkpoint just written stays under its update's number; the oldest of those go, once there are too many.</summary>
    private void KeepCopy(long iteration)
    {
        AtomicFile.Write(Path.Combine(config.OutDir, $"ckpt-{iteration:D8}.safetensors"), copy =>
        {
            using var newest = File.OpenRead(Checkpoint);
            newest.CopyTo(copy);
        });
        foreach (var old in Directory.GetFiles(config.OutDir, "ckpt-????????.safetensors").Order(StringComparer.Ordinal).SkipLast(config.Keep))
            File.Delete(old);
    }
}
