using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using LlamaFullstack.Core;
using LlamaFullstack.Core.Formats;
using LlamaFullstack.Training.Distributed;
using LlamaFullstack.Training.Model;
using LlamaFullstack.Training.Native;
using TorchSharp;
using static TorchSharp.torch;

namespace LlamaFullstack.Training;

/// <summary>Batches → model → checkpoint: the training loop. What it needs is made in the constructor; the loop is <see cref="Run"/>.</summary>
/// <remarks>
/// As llama2.c's train.py, with these differences: it ends after max_iters updates and an evaluation (there one more update follows, at
/// the lowest learning rate); it saves at the end and when it is interrupted; a run that is resumed goes on bit for bit as if it had never
/// stopped. ckpt.safetensors is the last state saved, model.bin the best model.
/// </remarks>
public sealed class Trainer : IDisposable
{
    private readonly TrainingConfig _config;
    private IProgress<TrainingEvent>? _progress;
    private readonly ProcessGroup _ranks;
    private readonly ModelPlacement _placement;
    private readonly Transformer _model;
    private readonly AdamW _optimizer;
    private readonly GradientBuckets? _sharedGradients; // where several ranks train
    private readonly TrainingData _data;
    private readonly FolderLock? _folderLock; // of the rank that writes
    private readonly RunFolder _folder;
    private readonly int _microBatches; // of this rank in an update

    private long _iteration; // updates made
    private double _bestValLoss = 1e9;
    private double _lossEma = double.NaN;
    private LossScale? _lossScale; // where products are in float16
    private long _savedIteration;
    private long _updates; // of them, those of this process
    private double _mfu = -1; // llama2.c's mark of "not known yet"
    private double _peak; // operations a second of one rank's machine; 0 until it is measured
    private long _nextPeakAt = 5; // the update after which it is measured; the first ones are slower

    /// <summary>Opens the data and makes the model, or takes both up where the checkpoint left them.</summary>
    /// <param name="config">A sound configuration; see <see cref="TrainingConfig.FindProblem"/>.</param>
    /// <param name="progress">Told of everything that happens; of several ranks, by the first alone.</param>
    /// <param name="ranks">The processes that train this model together; this one alone where it is null.</param>
    /// <param name="cancellation">Ends the wait for the other processes.</param>
    /// <exception cref="ArgumentException">The configuration is not sound.</exception>
    /// <exception cref="InvalidDataException">Data are missing or damaged, or the checkpoint does not fit; the message says what to do.</exception>
    /// <exception cref="IOException">A file cannot be read, or another process trains into the folder.</exception>
    public Trainer(TrainingConfig config, IProgress<TrainingEvent>? progress = null, ProcessGroup? ranks = null, CancellationToken cancellation = default)
    {
        if (config.FindProblem() is { } problem)
            throw new ArgumentException(problem);
        _config = config;
        _ranks = ranks ?? ProcessGroup.Alone;
        _microBatches = _config.MicroBatchesOfEach(_ranks.Size);
        _placement = ModelPlacement.Choose(_ranks.DeviceFor(config.Device), config.Dtype);
        _lossScale = _placement.Products == ScalarType.Float16 ? LossScale.Initial : null;
        _progress = _ranks.IsFirst ? progress : null;
        _data = new TrainingData(config, _ranks);
        try
        {
            // Before a checkpoint is read: else two that resume could both read it, and the second go on from there when the first is done.
            if (_ranks.IsFirst && !config.EvalOnly)
                _folderLock = new FolderLock(config.OutDir, "Wait until it is done, or name another --out_dir.");
            _folder = new RunFolder(config);
            manual_seed(config.Seed);
            _model = new Transformer(config.Model, _placement, config.Dropout);
            _optimizer = new AdamW(_model.Parameters, config.WeightDecay, config.Beta1, config.Beta2);
            if (_ranks.Size > 1)
                _sharedGradients = new GradientBuckets(_model, _ranks);
            if (config.InitFrom == "resume")
            {
                _ranks.AwaitFirst(TimeSpan.Zero, cancellation); // who has the folder for all
                Resume();
            }
            else
                _data.Start(0);
            Announce();
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    /// <summary>Trains until max_iters updates are made.</summary>
    /// <param name="cancellation">Ends the run after the update under way; the state is saved first.</param>
    /// <exception cref="OperationCanceledException">The run was cancelled. It can be resumed.</exception>
    /// <exception cref="InvalidDataException">The loss is not a number any more, or far above that of guessing.</exception>
    /// <exception cref="IOException">A file cannot be written.</exception>
    public void Run(CancellationToken cancellation = default)
    {
        if (_folderLock is not null)
        {
            _progress = new RunRecord(_config, _progress);
            foreach (var note in _folder.Begin())
                _progress.Report(new NoteEvent(note));
        }
        try
        {
            while (true)
            {
                var last = _iteration >= _config.MaxIters || _config.EvalOnly;
                if (last || _iteration % _config.EvalInterval == 0)
                    EvaluateAndSave(last, cancellation);
                if (last)
                    return;
                if (_ranks.AnyStops(cancellation))
                    throw new OperationCanceledException(cancellation);
                Update(cancellation);
                _iteration++;
                _updates++;
            }
        }
        catch (OperationCanceledException)
        {
            Save(isBest: false);
            throw;
        }
    }

    /// <summary>Makes some updates of a run to learn how long one takes; writes nothing.</summary>
    /// <param name="config">The run; as for the constructor.</param>
    /// <param name="count">How many at least.</param>
    /// <param name="time">For how long at least.</param>
    /// <param name="cancellation">Stops between updates.</param>
    /// <returns>The median of the second half, since the first ones also allocate and compile.</returns>
    public static TimeSpan TimeUpdates(TrainingConfig config, int count, TimeSpan time, CancellationToken cancellation = default)
    {
        using var trainer = new Trainer(config with { EvalOnly = true }); // which takes no folder for itself
        var times = new List<TimeSpan>();
        for (var clock = Stopwatch.StartNew(); times.Count < count || clock.Elapsed < time;)
        {
            cancellation.ThrowIfCancellationRequested();
            var start = Stopwatch.GetTimestamp();
            trainer.Update(cancellation);
            times.Add(Stopwatch.GetElapsedTime(start));
        }
        var late = times.Skip(times.Count / 2).Order().ToList();
        return late[late.Count / 2];
    }

    /// <summary>Frees the model's memory, closes the data and lets the folder go.</summary>
    public void Dispose()
    {
        _data.Dispose();
        _sharedGradients?.Dispose();
        _optimizer?.Dispose(); // null where the constructor was not finished
        _model?.Dispose();
        _folderLock?.Dispose();
    }

    /// <summary>One update: the gradient of several micro-batches, over all ranks, clipped, then a step of the optimizer.</summary>
    private void Update(CancellationToken cancellation)
    {
        using var scope = NewDisposeScope();
        var clock = Stopwatch.GetTimestamp();
        SeedDropout();
        _sharedGradients?.Clear();
        var sum = zeros(1, device: _placement.Device);
        using Scalar steps = _config.GradientAccumulationSteps, scale = _lossScale?.Value ?? 1;
        for (var micro = 1; micro <= _microBatches; micro++)
        {
            using var microScope = NewDisposeScope();
            var (tokens, targets) = _data.Next().ToTensors(_config.BatchSize, _placement.Device);
            var loss = _model.Loss(tokens, targets) / steps;
            var scaled = _lossScale is null ? loss : loss * scale;
            if (_sharedGradients is not null && micro == _microBatches)
                _sharedGradients.BackwardAndSum(scaled, cancellation);
            else
                scaled.backward();
            sum.add_(loss.detach(), HeldNumbers.One);
        }
        var meanLoss = _ranks.Sum(sum.ToDouble(), cancellation);
        var norm = _optimizer.ClipGradients(_config.GradClip > 0 ? _config.GradClip : double.PositiveInfinity, _lossScale?.Value ?? 1);
        var overflowed = _lossScale is not null && !double.IsFinite(norm);
        if (overflowed && _lossScale!.Value <= 1)
            Stop("gradients overflow float16 even without a scale");
        StopIfDiverged("loss", meanLoss); // before the step, so that the weights, and what is saved of them, stay sound
        if (!overflowed)
            StopIfDiverged("gradient norm", norm);
        _lossEma = double.IsNaN(_lossEma) ? meanLoss : 0.98 * _lossEma + 0.02 * meanLoss;
        StopIfWorseThanGuessing("mean loss of late", _lossEma);
        var learningRate = _config.Schedule.At(_iteration);
        if (!overflowed) // else a smaller scale may do: the update is left out
            _optimizer.Step(learningRate);
        _optimizer.ZeroGradients();
        _lossScale = _lossScale?.Next(overflowed);
        if (_iteration % _config.LogInterval == 0)
            Report(meanLoss, learningRate, Stopwatch.GetElapsedTime(clock));
    }

    private void EvaluateAndSave(bool last, CancellationToken cancellation)
    {
        var train = Evaluation.MeanLoss(_model, _data.EvalTrain, _config.EvalIters, _placement.Device, _ranks, cancellation);
        var val = Evaluation.MeanLoss(_model, _data.EvalVal, _config.EvalIters, _placement.Device, _ranks, cancellation);
        _progress?.Report(new EvalEvent(_iteration, train, val, Environment.WorkingSet, GC.GetTotalMemory(forceFullCollection: false)));
        StopIfDiverged("training loss", train);
        StopIfDiverged("validation loss", val);
        StopIfWorseThanGuessing("validation loss", val);
        if (_config.EvalOnly)
            return;
        if (_ranks.IsFirst && _iteration > 0 && _folder.Sample(_model) is { } text)
            _progress?.Report(new SampleEvent(_iteration, text));
        var isBest = val < _bestValLoss;
        if (isBest)
            _bestValLoss = val;
        if (isBest || last || _config.AlwaysSaveCheckpoint)
            Save(isBest);
        _ranks.AwaitFirst(TimeFor(_model.Config.ParameterCount), cancellation);
    }

    // What the first rank may need to write a text and the checkpoint, 12 bytes a parameter, where a disk takes 10 MB/s.
    private static TimeSpan TimeFor(long parameters) => TimeSpan.FromSeconds(5 + parameters * 12 / 10e6);

    private void Save(bool isBest)
    {
        // An untrained model is not worth a file, and a state saved once need not be saved again, unless it has proved to be the best.
        if (_iteration == 0 || (_iteration == _savedIteration && !isBest))
            return;
        _progress?.Report(new CheckpointEvent(_iteration, _config.OutDir));
        if (_ranks.IsFirst)
            _folder.Save(_model, _optimizer, new TrainingState(_iteration, _bestValLoss, _lossEma, _data.Position, _config.Seed, _lossScale), isBest);
        _savedIteration = _iteration;
    }

    private void Resume()
    {
        using var checkpoint = Checkpoint.Open(_folder.Checkpoint);
        if (checkpoint.Config != _model.Config)
        {
            var shape = JsonSerializer.Serialize(checkpoint.Config, CoreJsonContext.Default.LlamaConfig);
            throw new InvalidDataException(
                $"{_folder.Checkpoint}: its model has another shape than the options ask for: {shape}. To resume, leave the options of the model away.");
        }
        _model.CopyFrom(checkpoint);
        checkpoint.Restore(_optimizer);
        _iteration = _savedIteration = checkpoint.State.Iteration;
        _bestValLoss = checkpoint.State.BestValLoss;
        _lossEma = checkpoint.State.LossEma;
        if (_lossScale is not null)
            _lossScale = checkpoint.State.LossScale ?? _lossScale;
        _data.Start(checkpoint.State.DataPosition);
    }

    // The numbers that dropout draws depend on the seed, the update and the rank alone, so that a run that is resumed draws the same.
    // The odd factor gives each update another value in the low 32 bits, which are all that torch's generator on the CPU uses.
    private void SeedDropout() => manual_seed(unchecked(_config.Seed + (_iteration + 1) * (long)0x9e3779b97f4a7c15 + _ranks.Rank * 0x632be5ab));

    private void Report(double loss, double learningRate, TimeSpan elapsed)
    {
        if (_progress is null)
            return;
        // llama2.c's estimate (PaLM, appendix B): 6 per parameter and token, and 12 · layers · dim · time of attention.
        var flops = _config.TokensPerIteration * (6.0 * _model.Config.ParameterCount + 12.0 * _config.NLayers * _config.Dim * _config.MaxSeqLen);
        if (_updates >= _nextPeakAt)
        {
            _peak = Math.Max(_peak, MachinePeak.Measure(_placement)); // again later: while the program is still compiled, the machine seems slower than it is
            _nextPeakAt *= 10;
        }
        if (_peak > 0)
        {
            var mfu = flops / elapsed.TotalSeconds / (_peak * _ranks.Size);
            _mfu = _mfu < 0 ? mfu : 0.9 * _mfu + 0.1 * mfu;
        }
        _progress.Report(new StepEvent(_iteration, loss, _lossEma, learningRate, elapsed, _config.TokensPerIteration / elapsed.TotalSeconds, _mfu));
    }

    private void StopIfDiverged(string name, double value)
    {
        if (!double.IsFinite(value))
            Stop($"the {name} is {value}");
    }

    // Guessing evenly loses ln(vocab_size) a token, a new model about as much. Far above it the weights hold no sense any more.
    private void StopIfWorseThanGuessing(string name, double value)
    {
        var guessing = Math.Log(_model.Config.VocabSize);
        if (value > guessing + 2)
            Stop(string.Create(CultureInfo.InvariantCulture, $"the {name} is {value:F2}, where guessing gives {guessing:F2}"));
    }

    private void Stop(string why)
    {
        var kept = _savedIteration > 0 ? $" The checkpoint of update {_savedIteration} is kept." : "";
        throw new InvalidDataException($"update {_iteration}: {why}: training has diverged. Lower --learning_rate, or raise --warmup_iters.{kept}");
    }

    private void Announce()
    {
        void Note(string text) => _progress?.Report(new NoteEvent(text));
        Note(_config.InitFrom == "resume" ? $"Resuming training from {_config.OutDir} at update {_iteration}" : "Initializing a new model from scratch");
        Note($"training on {_placement}{(_ranks.Size > 1 ? $", {_ranks.Description}" : "")}");
        Note($"tokens per iteration will be: {_config.TokensPerIteration:N0}");
        Note($"breaks down as: {_microBatches} grad accum steps * {_ranks.Size} processes * {_config.BatchSize} batch size * {_config.MaxSeqLen} max seq len");
        Note(string.Create(CultureInfo.InvariantCulture,
            $"one pass over the training split is {(double)_data.ChunksInPass / (_config.GradientAccumulationSteps * _config.BatchSize):F1} updates"));
        foreach (var decayed in (bool[])[true, false])
        {
            var (tensors, values) = _optimizer.Count(decayed);
            Note($"num {(decayed ? "" : "non-")}decayed parameter tensors: {tensors}, with {values:N0} parameters");
        }
        if (_lossScale is not null)
            Note(string.Create(CultureInfo.InvariantCulture, $"loss scale: {_lossScale.Value}{(_placement.Device.type == DeviceType.CPU ? "; float16 is for GPUs: on a processor float32 and bfloat16 are faster" : "")}"));
        if (_progress is not null && _placement is { Device.type: DeviceType.CPU, Products: ScalarType.BFloat16 }
            && MachinePeak.AdviceAgainstBfloat16(MachinePeak.Measure(ModelPlacement.Cpu), MachinePeak.Measure(_placement)) is { } advice)
            Note(advice);
        if (_config.Compile == true)
            Note("--compile does nothing here: TorchSharp has no compiler");
    }
}
