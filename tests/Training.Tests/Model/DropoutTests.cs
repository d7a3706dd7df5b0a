using System.Numerics;
using LlamaFullstack.Core;
using LlamaFullstack.Training.Kernels;
using LlamaFullstack.Training.Model;
using TorchSharp;
using static TorchSharp.torch;

namespace LlamaFullstack.Training.Tests.Model;

/// <summary>Dropout in the passes written out by hand, against torch's autograd of a model that is multiplied with the same factors.</summary>
public sealed class DropoutTests
{
    /// <summary>The factor of a feature of the stream, by layer, place, sequence, position and feature.</summary>
    private delegate double StreamFactor(int layer, DropoutPlace place, int sequence, int position, int feature);

    public static TheoryData<int, int, int, int> Shapes => new() { { 16, 4, 2, 12 }, { 24, 3, 3, 16 }, { 48, 2, 1, 33 } };

    [Theory]
    [MemberData(nameof(Shapes))]
    public void Loss_DropoutInFloat64_HasTheLossAndGradientsOfAutogradWithTheSameMask(int dim, int heads, int keyHeads, int time) =>
        Compare<double>(dim, heads, keyHeads, time, ScalarType.Float64, bound: 1e-12); // as without dropout

    [Theory]
    [MemberData(nameof(Shapes))]
    public void Loss_DropoutInFloat32_HasTheLossAndGradientsOfAutogradWithTheSameMask(int dim, int heads, int keyHeads, int time) =>
        Compare<float>(dim, heads, keyHeads, time, ScalarType.Float32, bound: 5e-4);

    private static void Compare<T>(int dim, int heads, int keyHeads, int time, ScalarType type, double bound) where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        using var scope = NewDisposeScope();
        manual_seed(12);
        var config = Tiny.Config with { Dim = dim, HiddenDim = 2 * dim + 4, NHeads = heads, NKvHeads = keyHeads, MaxSeqLen = time, VocabSize = 50 };
        var placement = new ModelPlacement(CPU, type, type);
        using var model = new Transformer(config, placement, dropout: 0.3);
        using var rope = new Rope(config, placement);
        using (no_grad())
        {
            foreach (var parameter in model.Parameters.Values)
                nn.init.normal_(parameter, parameter.dim() == 1 ? 1 : 0, 0.3);
        }
        var tokens = randint(0, config.VocabSize, [3, time], dtype: ScalarType.Int64);
        var targets = randint(-1, config.VocabSize, [3, time], dtype: ScalarType.Int64);
        manual_seed(13);
        var mask = model.DrawDropout();
        var tile = TokenTile<T>.Length;
        var tiles = (time + tile - 1) / tile;

        void Expect(Func<Tensor, Tensor, Tensor> passes, StreamFactor factor)
        {
            var expected = Reference<T>(model, rope, tokens, targets, mask, factor);
            expected.backward();
            var gradients = model.Parameters.ToDictionary(entry => entry.Key, entry => entry.Value.grad!.clone());
            foreach (var parameter in model.Parameters.Values)
                parameter.grad = null;
            manual_seed(13);
            var loss = passes(tokens, targets);
            Assert.Equal(expected.ToDouble(), loss.ToDouble(), bound);
            loss.backward();
            Assert.All(model.Parameters, entry => Assert.InRange((entry.Value.grad! - gradients[entry.Key]).abs().max().ToDouble(), 0, bound));
            foreach (var parameter in model.Parameters.Values)
                parameter.grad = null;
        }
        double InTiles(int layer, DropoutPlace place, int sequence, int position, int feature) =>
            mask.Of(layer, place).Of(sequence * tiles + position / tile).Factor<T>((uint)(feature * tile + position % tile));
        double InRows(int layer, DropoutPlace place, int sequence, int position, int feature)
        {
            var (block, row) = Math.DivRem(sequence * time + position, FusedOperators<T>.Block);
            return mask.Of(layer, place).Of(block).Factor<T>((uint)(row * dim + feature));
        }
        Expect(model.Tiled<Register512<T>, T>(), InTiles);
        Expect(model.Tiled<Register128<T>, T>(), InTiles);
        Expect(model.Fused<T>(), InRows);
    }

    private static Tensor Reference<T>(Transformer model, Rope rope, Tensor tokens, Tensor targets, DropoutMask mask, StreamFactor factor) where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        var config = model.Config;
        var (batch, time, tile) = (tokens.shape[0], tokens.shape[1], TokenTile<T>.Length);
        var type = model.Parameters[TensorNames.Norm].dtype;
        Tensor W(string name) => model.Parameters[name];
        Tensor Norm(Tensor x, string name) => x * (x.square().mean([-1], keepdim: true) + config.NormEps).rsqrt() * W(name);
        Tensor Heads(Tensor x, string name, int heads) => x.matmul(W(name).t()).view(batch, time, heads, config.HeadSize);
        Tensor Repeated(Tensor x) => x.repeat_interleave(config.NHeads / config.NKvHeads, 1);
        Tensor Factors(int layer, DropoutPlace place) =>
            Each(type, batch, time, config.Dim, 1, (sequence, position, feature, _) => factor(layer, place, sequence, position, feature)).squeeze(-1);
        Tensor WeightFactors(int layer) => Each(type, batch, config.NHeads, time, time, (sequence, head, query, key) =>
            mask.Of(layer, DropoutPlace.AttentionWeights).Of(sequence).Of(head)
                .Factor<T>((uint)((query / tile * ((time + tile - 1) / tile * tile) + key) * tile + query % tile)));

        var x = W(TensorNames.TokEmbeddings).index_select(0, tokens.view(-1)).view(batch, time, config.Dim) * Factors(0, DropoutPlace.Embedding);
        for (var i = 0; i < config.NLayers; i++)
        {
            var normed = Norm(x, TensorNames.AttentionNorm(i));
            var q = rope.Rotate(Heads(normed, TensorNames.Wq(i), config.NHeads), 0).transpose(1, 2);
            var k = Repeated(rope.Rotate(Heads(normed, TensorNames.Wk(i), config.NKvHeads), 0).transpose(1, 2));
            var v = Repeated(Heads(normed, TensorNames.Wv(i), config.NKvHeads).transpose(1, 2));
            var hidden = ones(time, time, dtype: ScalarType.Bool).triu(1);
            var weights = (q.matmul(k.transpose(2, 3)) / Math.Sqrt(config.HeadSize)).masked_fill(hidden, double.NegativeInfinity).softmax(-1) * WeightFactors(i);
            var attended = weights.matmul(v).transpose(1, 2).reshape(batch, time, config.Dim);
            x = x + attended.matmul(W(TensorNames.Wo(i)).t()) * Factors(i, DropoutPlace.AttentionOutput);
            normed = Norm(x, TensorNames.FfnNorm(i));
            var gate = nn.functional.silu(normed.matmul(W(TensorNames.W1(i)).t())) * normed.matmul(W(TensorNames.W3(i)).t());
            x = x + gate.matmul(W(TensorNames.W2(i)).t()) * Factors(i, DropoutPlace.FeedForwardOutput);
        }
        var logits = Norm(x, TensorNames.Norm).matmul(W(TensorNames.TokEmbeddings).t());
        return nn.functional.cross_entropy(logits.view(-1, config.VocabSize), targets.view(-1), ignore_index: -1);
    }

    private static Tensor Each(ScalarType type, long a, long b, long c, long d, Func<int, int, int, int, double> value)
    {
        var values = new double[a * b * c * d];
        for (var i = 0; i < values.Length; i++)
            values[i] = value((int)(i / (b * c * d)), (int)(i / (c * d) % b), (int)(i / d % c), (int)(i % d));
        return tensor(values, [a, b, c, d], type);
    }
}
