using System.Numerics;
using LlamaFullstack.Core;
using LlamaFullstack.Training.Kernels;
using LlamaFullstack.Training.Native;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace LlamaFullstack.Training.Model;

/// <summary>
/// The loss of <see cref="Transformer"/> and its gradient on a processor, both passes written out: matrix products by torch, all else by
/// kernels of our own. What autograd derives from the model's own code is the reference that tests compare it with.
/// </summary>
/// <typeparam name="T">float, or double to check gradients.</typeparam>
/// <remarks>
/// The stream is (batch · time, dim). The backward pass adds to the parameters' gradients directly; to autograd the whole loss is one
/// operation. The forward pass keeps of each layer only what costs a product to compute again.
/// </remarks>
internal sealed class FusedTransformer<T> where T : unmanaged, IBinaryFloatingPointIeee754<T>
{
    // Values in the scores of one part of the batch: 64 MB of float32. Fewer would have the gradient of the classifier added up more often.
    private const long PartSize = 1 << 24;

    private readonly LlamaConfig _config;
    private readonly ModelPlacement _placement;
    private readonly FusedOperators<T> _operators;
    private readonly IReadOnlyDictionary<string, Parameter> _parameters;
    private readonly string _classifier;

    /// <param name="config">The model's shape.</param>
    /// <param name="placement">The precision; the device must be the processor.</param>
    /// <param name="rope">The angles.</param>
    /// <param name="parameters">The model's own, by name.</param>
    /// <param name="classifier">The name of the classifier among them.</param>
    public FusedTransformer(LlamaConfig config, ModelPlacement placement, Rope rope, IReadOnlyDictionary<string, Parameter> parameters, string classifier)
    {
        _config = config;
        _placement = placement;
        _operators = new FusedOperators<T>(config, rope);
        _parameters = parameters;
        _classifier = classifier;
    }

    /// <summary>As <see cref="Transformer.Loss"/>.</summary>
    /// <param name="tokens">(batch, time), 64-bit integers.</param>
    /// <param name="targets">The token after each one; -1 does not count.</param>
    /// <param name="dropout">What to drop.</param>
    /// <param name="layerDone">Told in the backward pass of each layer whose gradients are complete.</param>
    public Tensor Loss(Tensor tokens, Tensor targets, DropoutMask dropout, Action<int>? layerDone)
    {
        if (is_grad_enabled())
            return Operation.apply(Weight(_classifier), tokens, targets, this, dropout, layerDone ?? (_ => { }));
        var x = Embed(tokens, dropout);
        for (var layer = 0; layer < _config.NLayers; layer++)
        {
            using var kept = Forward(x, layer, (int)tokens.shape[1], dropout);
            x.Dispose();
            x = kept.Output.alias();
        }
        return Classify(_operators.Norm(x, Weight(TensorNames.Norm)), targets, null, null);
    }

    private (Tensor Loss, Pass Pass) Forward(Tensor tokens, Tensor targets, DropoutMask dropout)
    {
        var streams = new List<Tensor> { Embed(tokens, dropout).DetachFromDisposeScope() };
        var layers = new List<Kept>();
        for (var layer = 0; layer < _config.NLayers; layer++)
        {
            layers.Add(Forward(streams[layer], layer, (int)tokens.shape[1], dropout));
            streams.Add(layers[layer].Output);
        }
        using var normed = _operators.Norm(streams[^1], Weight(TensorNames.Norm));
        var gradient = empty_like(normed).DetachFromDisposeScope();
        var classifierGradient = empty_like(Weight(_classifier)).DetachFromDisposeScope();
        var loss = Classify(normed, targets, gradient, classifierGradient);
        return (loss, new Pass(tokens.alias().DetachFromDisposeScope(), dropout, streams, layers, gradient, classifierGradient));
    }

    /// <param name="pass">The forward pass.</param>
    /// <param name="lossGradient">By the loss itself, which is divided by the number of micro-batches later on.</param>
    /// <param name="layerDone">See <see cref="Loss"/>.</param>
    private void Backward(Pass pass, double lossGradient, Action<int> layerDone)
    {
        using var noGrad = no_grad();
        AddGradient(pass.ClassifierGradient.mul_(lossGradient), _classifier);
        var gradient = zeros_like(pass.Gradient);
        AddGradient(_operators.NormBackward(pass.Streams[^1], Weight(TensorNames.Norm), pass.Gradient.mul_(lossGradient), gradient), TensorNames.Norm);
        for (var layer = _config.NLayers - 1; layer >= 0; layer--)
        {
            Backward(gradient, pass.Streams[layer], pass.Layers[layer], layer, (int)pass.Tokens.shape[1], pass.Dropout);
            pass.Layers[layer].Dispose();
            layerDone(layer);
        }
        var embedding = Weight(TensorNames.TokEmbeddings);
        embedding.grad ??= zeros_like(embedding); // is there already where it is the classifier, too
        FusedOperators<T>.EmbeddingBackward(
            pass.Tokens.data<long>().ToArray(), FusedOperators<T>.Drop(gradient, pass.Dropout.Of(0, DropoutPlace.Embedding)), embedding.grad!);
        pass.Dispose();
    }

    private Parameter Weight(string name) => _parameters[name];

    private Tensor Embed(Tensor tokens, DropoutMask dropout) =>
        FusedOperators<T>.Drop(Weight(TensorNames.TokEmbeddings).index_select(0, tokens.view(-1)), dropout.Of(0, DropoutPlace.Embedding));

    /// <summary>x → x + attention(norm(x)) = h → h + ffn(norm(h)).</summary>
    private Kept Forward(Tensor x, int layer, int time, DropoutMask dropout)
    {
        using var scope = NewDisposeScope();
        var qkv = Product(_operators.Norm(x, Weight(TensorNames.AttentionNorm(layer))), Qkv(layer));
        var (attended, logSums) = _operators.Attention(qkv, time, dropout.Of(layer, DropoutPlace.AttentionWeights));
        var h = FusedOperators<T>.Drop(Product(attended, Weight(TensorNames.Wo(layer))), dropout.Of(layer, DropoutPlace.AttentionOutput)).add_(x, HeldNumbers.One);
        var gates = Product(_operators.Norm(h, Weight(TensorNames.FfnNorm(layer))), Gates(layer));
        var output = FusedOperators<T>.Drop(Product(FusedOperators<T>.SwiGlu(gates), Weight(TensorNames.W2(layer))), dropout.Of(layer, DropoutPlace.FeedForwardOutput)).add_(h, HeldNumbers.One);
        foreach (var tensor in (Tensor[])[qkv, attended, logSums, h, gates, output])
            tensor.DetachFromDisposeScope();
        return new Kept(qkv, attended, logSums, h, gates, output);
    }

    /// <summary>Takes the gradient by the layer's output back to its input, in place, and adds to those of its weights.</summary>
    private void Backward(Tensor gradient, Tensor x, Kept kept, int layer, int time, DropoutMask dropout)
    {
        using var scope = NewDisposeScope();
        var (ffnNorm, attentionNorm) = (Weight(TensorNames.FfnNorm(layer)), Weight(TensorNames.AttentionNorm(layer)));

        var added = Dropped(gradient, dropout.Of(layer, DropoutPlace.FeedForwardOutput));
        AddWeightGradient(added, FusedOperators<T>.SwiGlu(kept.Gates), TensorNames.W2(layer));
        var gates = FusedOperators<T>.SwiGluBackward(kept.Gates, InputGradient(added, Weight(TensorNames.W2(layer))));
        AddWeightGradient(gates, _operators.Norm(kept.H, ffnNorm), TensorNames.W1(layer), TensorNames.W3(layer));
        AddGradient(_operators.NormBackward(kept.H, ffnNorm, InputGradient(gates, Gates(layer)), gradient), TensorNames.FfnNorm(layer));

        added = Dropped(gradient, dropout.Of(layer, DropoutPlace.AttentionOutput));
        AddWeightGradient(added, kept.Attended, TensorNames.Wo(layer));
        var attended = InputGradient(added, Weight(TensorNames.Wo(layer)));
        var qkv = _operators.AttentionBackward(kept.Qkv, kept.Attended, kept.LogSums, attended, time, dropout.Of(layer, DropoutPlace.AttentionWeights));
        AddWeightGradient(qkv, _operators.Norm(x, attentionNorm), TensorNames.Wq(layer), TensorNames.Wk(layer), TensorNames.Wv(layer));
        AddGradient(_operators.NormBackward(x, attentionNorm, InputGradient(qkv, Qkv(layer)), gradient), TensorNames.AttentionNorm(layer));
    }

    /// <summary>The gradient by what was dropped from, where the one by the stream is still needed.</summary>
    private static Tensor Dropped(Tensor gradient, DropoutMask dropout) => dropout.IsOn ? FusedOperators<T>.Drop(gradient.clone(), dropout) : gradient;

    /// <summary>The loss of the normalised stream, and where they are asked for the gradients by the stream and by the classifier.</summary>
    /// <remarks>The scores of a whole batch, positions × vocab_size, would be a step's largest tensor by far: they are made in parts, and their gradient goes back at once.</remarks>
    private Tensor Classify(Tensor stream, Tensor targets, Tensor? gradient, Tensor? classifierGradient)
    {
        var wanted = targets.data<long>().ToArray();
        var factor = 1.0 / wanted.Count(target => target >= 0);
        var loss = 0.0;
        var classifier = Weight(_classifier);
        var rows = Math.Max(1, PartSize / _config.VocabSize);
        for (var first = 0L; first < stream.shape[0]; first += rows)
        {
            using var scope = NewDisposeScope();
            var count = Math.Min(rows, stream.shape[0] - first);
            var part = stream.narrow(0, first, count);
            var scores = Product(part, classifier);
            loss += FusedOperators<T>.CrossEntropy(scores, wanted.AsSpan((int)first, (int)count), factor);
            gradient?.narrow(0, first, count).copy_(InputGradient(scores, classifier));
            if (classifierGradient is not null)
                WeightGradient(scores, part, classifierGradient, accumulate: first > 0);
        }
        return tensor(loss, dtype: stream.dtype);
    }

    // Matrices that are multiplied with the same input stand in one, so that there is one product in place of two or three.
    private Tensor Qkv(int layer) => cat([Weight(TensorNames.Wq(layer)), Weight(TensorNames.Wk(layer)), Weight(TensorNames.Wv(layer))], 0);

    private Tensor Gates(int layer) => cat([Weight(TensorNames.W1(layer)), Weight(TensorNames.W3(layer))], 0);

    /// <summary>x · Wᵀ.</summary>
    private Tensor Product(Tensor x, Tensor weight) => Multiply(x, weight.t());

    /// <summary>The gradient by x of x · Wᵀ.</summary>
    private Tensor InputGradient(Tensor gradient, Tensor weight) => Multiply(gradient, weight);

    private Tensor Multiply(Tensor a, Tensor b) => _placement.ForProduct(a).mm(_placement.ForProduct(b)).to(_placement.Weights);

    /// <summary>Adds the gradient by W of x · Wᵀ, of several matrices if they stand one below the other in W.</summary>
    private void AddWeightGradient(Tensor gradient, Tensor x, params ReadOnlySpan<string> names)
    {
        var first = 0L;
        foreach (var name in names)
        {
            var parameter = Weight(name);
            var sum = parameter.grad;
            WeightGradient(gradient.narrow(1, first, parameter.shape[0]), x, sum ?? (parameter.grad = empty_like(parameter)), accumulate: sum is not null);
            first += parameter.shape[0];
        }
    }

    private void WeightGradient(Tensor gradient, Tensor x, Tensor result, bool accumulate)
    {
        if (_placement.Products == _placement.Weights)
            FusedOperators<T>.WeightGradient(gradient, x, result, accumulate);
        else if (accumulate)
            result.add_(Multiply(gradient.t(), x), HeldNumbers.One);
        else
            result.copy_(Multiply(gradient.t(), x));
    }

    /// <summary>Adds a gradient to the one that is there.</summary>
    private void AddGradient(Tensor gradient, string name)
    {
        if (Weight(name).grad is { } sum)
            sum.add_(gradient, HeldNumbers.One);
        else
            Weight(name).grad = gradient;
    }

    /// <summary>What the forward pass of a layer keeps for the backward pass, and its output.</summary>
    private sealed record Kept(Tensor Qkv, Tensor Attended, Tensor LogSums, Tensor H, Tensor Gates, Tensor Output) : IDisposable
    {
        public void Dispose()
        {
            foreach (var tensor in (Tensor[])[Qkv, Attended, LogSums, H, Gates, Output])
                tensor.Dispose();
        }
    }

    /// <summary>What the forward pass keeps: the stream before each layer and after the last, what each layer keeps, and the loss's gradients by the last norm's output and by the classifier.</summary>
    private sealed record Pass(Tensor Tokens, DropoutMask Dropout, List<Tensor> Streams, List<Kept> Layers, Tensor Gradient, Tensor ClassifierGradient) : IDisposable
    {
        public void Dispose()
        {
            foreach (var tensor in (Tensor[])[Tokens, .. Streams, Gradient, ClassifierGradient])
                tensor.Dispose();
            foreach (var layer in Layers)
                layer.Dispose();
        }
    }

    /// <summary>Both passes as one operation of autograd's. The classifier stands for all parameters; the gradients are added to them directly.</summary>
    private sealed class Operation : autograd.SingleTensorFunction<Operation>
    {
        private const string BackwardPass = "backward";

        public override string Name => nameof(FusedTransformer<T>);

        public override Tensor forward(autograd.AutogradContext ctx, params object[] vars)
        {
            var (model, layerDone) = ((FusedTransformer<T>)vars[3], (Action<int>)vars[5]);
            var (loss, pass) = model.Forward((Tensor)vars[1], (Tensor)vars[2], (DropoutMask)vars[4]);
            ctx.save_data(BackwardPass, (Action<double>)(gradient => model.Backward(pass, gradient, layerDone)));
            return loss;
        }

        public override List<Tensor> backward(autograd.AutogradContext ctx, Tensor grad_output)
        {
            using var scope = NewDisposeScope();
            ((Action<double>)ctx.get_data(BackwardPass))(grad_output.ToDouble());
            return [null!, null!, null!, null!, null!, null!];
        }
    }
}
