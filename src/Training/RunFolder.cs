using System.Text.Json;
using LlamaFullstack.Core.Formats;
using LlamaFullstack.Data;
using LlamaFullstack.Training.Model;

namespace LlamaFullstack.Training;

/// <summary>The folder that a run writes: config.json, tokenizer.bin, ckpt.safetensors (the last state saved) and model.bin (the best model).</summary>
internal sealed class RunFolder(TrainingConfig config)
{
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
        var tokenizer = new DataFolder(config.DataDir, config.Dataset).TokenizerBin(config.DataVocabSize);
        if (!File.Exists(tokenizer))
            notes.Add($"{tokenizer} is missing: to read what the model writes, put the tokenizer beside {Path.Combine(config.OutDir, "model.bin")} as tokenizer.bin");
        else
            AtomicFile.WriteAllBytes(Path.Combine(config.OutDir, "tokenizer.bin"), File.ReadAllBytes(tokenizer));
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

    /// <summary>Writes the checkpoint and, if the model is the best so far or the run has none yet, model.bin.</summary>
    public void Save(Transformer model, AdamW optimizer, TrainingState state, bool isBest)
    {
        // The model first: if the process dies between the two, a resumed run finds the same model to be the best once more.
        if (isBest || !_hasModel)
            ModelBinWriter.Write(Path.Combine(config.OutDir, "model.bin"), model, version: 0);
        _hasModel = true;
        Training.Checkpoint.Save(Checkpoint, model, optimizer, config, state);
    }
}
