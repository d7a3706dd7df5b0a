using LlamaFullstack.Training.Native;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace LlamaFullstack.Training;

/// <summary>
/// AdamW (Loshchilov and Hutter, 2019): θ ← θ - lr · (λ · θ + m̂ / (sqrt(v̂) + ε)), where m and v are running means of the gradient and
/// of its square, and the hats correct for their start at 0. Matrices decay (λ); vectors, the norms' weights, do not.
/// </summary>
/// <remarks>
/// TorchSharp has an AdamW, but keeps its moments under native handles; a checkpoint needs them by name. The arithmetic is that of
/// PyTorch's, operation by operation.
/// </remarks>
public sealed class AdamW : IDisposable
{
    private const double Epsilon = 1e-8;
    private readonly List<Slot> _slots = [];
    private readonly double _weightDecay;
    private readonly double _beta1;
    private readonly double _beta2;

    /// <summary>Makes moments of zero for every parameter.</summary>
    /// <param name="parameters">The parameters by name.</param>
    /// <param name="weightDecay">λ for parameters of two dimensions and more.</param>
    /// <param name="beta1">Memory of the gradient's mean.</param>
    /// <param name="beta2">Memory of its square's mean.</param>
    public AdamW(IReadOnlyDictionary<string, Parameter> parameters, double weightDecay, double beta1, double beta2)
    {
        _weightDecay = weightDecay;
        _beta1 = beta1;
        _beta2 = beta2;
        foreach (var (name, parameter) in parameters)
            _slots.Add(new Slot(name, parameter, zeros_like(parameter).DetachFromDisposeScope(), zeros_like(parameter).DetachFromDisposeScope()));
    }

    /// <summary>Number of updates made; the correction of the moments depends on it.</summary>
    public long Steps { get; set; }

    /// <summary>The moments of each parameter, for a checkpoint to save and to fill.</summary>
    public IEnumerable<(string Name, Tensor Mean, Tensor Square)> Moments => _slots.Select(slot => (slot.Name, slot.Mean, slot.Square));

    /// <summary>Tensors and values that decay, and those that do not.</summary>
    public (int Tensors, long Values) Count(bool decayed)
    {
        var counted = _slots.Where(slot => slot.Decays == decayed).ToList();
        return (counted.Count, counted.Sum(slot => slot.Parameter.numel()));
    }

    /// <summary>Updates every parameter by its gradient.</summary>
    public void Step(double learningRate)
    {
        using var noGrad = no_grad();
        Steps++;
        if (TorchOperators.IsAvailable)
        {
            StepFused(learningRate, decays: true);
            StepFused(learningRate, decays: false);
        }
        else
        {
            StepPlain(learningRate);
        }
    }

    /// <summary>Forgets the gradients and frees their memory.</summary>
    public void ZeroGradients()
    {
        foreach (var slot in _slots)
            slot.Parameter.grad = null;
    }

    /// <summary>Takes a loss's scale out of all gradients, and makes them, together as one vector, no longer than <paramref name="max"/>.</summary>
    /// <param name="max">The longest.</param>
    /// <param name="scale">What the loss was multiplied with.</param>
    /// <returns>Their length before, without the scale; not finite if one of them is not, and then they are of no use.</returns>
    public double ClipGradients(double max, double scale = 1)
    {
        var norm = TorchSharp.torch.nn.utils.clip_grad_norm_(_slots.Select(slot => slot.Parameter), max * scale) / scale;
        if (scale != 1)
        {
            using var noGrad = no_grad();
            foreach (var slot in _slots)
                slot.Parameter.grad?.mul_(1 / scale);
        }
        return norm;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (var slot in _slots)
        {
            slot.Mean.Dispose();
            slot.Square.Dispose();
        }
    }

    /// <summary>One pass over each tensor's memory: libtorch's kernel.</summary>
    private unsafe void StepFused(double learningRate, bool decays)
    {
        var slots = _slots.Where(slot => slot.Decays == decays && slot.Parameter.grad is not null).ToList();
        if (slots.Count == 0)
            return;
        using var scope = NewDisposeScope();
        var step = full(1, (float)Steps, device: slots[0].Parameter.device).squeeze(); // the kernel reads it from a tensor
        // _fused_adamw_(Tensor[] self, Tensor[] grads, Tensor[] exp_avgs, Tensor[] exp_avg_sqs, Tensor[] max_exp_avg_sqs, Tensor[] state_steps, *,
        // float lr, float beta1, float beta2, float weight_decay, float eps, bool amsgrad, bool maximize, Tensor? grad_scale, Tensor? found_inf)
        var stack = stackalloc ulong[]
        {
            TorchOperators.ListSlot([.. slots.Select(slot => slot.Parameter)]),
            TorchOperators.ListSlot([.. slots.Select(slot => slot.Parameter.grad!)]),
            TorchOperators.ListSlot([.. slots.Select(slot => slot.Mean)]),
            TorchOperators.ListSlot([.. slots.Select(slot => slot.Square)]),
            TorchOperators.ListSlot([]),
            TorchOperators.ListSlot([.. slots.Select(_ => step)]),
            TorchOperators.Slot(learningRate),
            TorchOperators.Slot(_beta1),
            TorchOperators.Slot(_beta2),
            TorchOperators.Slot(decays ? _weightDecay : 0),
            TorchOperators.Slot(Epsilon),
            0, 0, 0, 0,
        };
        TorchOperators.Check(TorchOperators.TryCall("aten::_fused_adamw_"u8, stack), "an update of the weights");
    }

    /// <summary>The formula, operation by operation: the reference, and what runs where libtorch's C interface is missing.</summary>
    internal void StepPlain(double learningRate)
    {
        var correction1 = 1 - Math.Pow(_beta1, Steps);
        var correction2 = Math.Sqrt(1 - Math.Pow(_beta2, Steps));
        foreach (var slot in _slots)
        {
            using var scope = NewDisposeScope();
            if (slot.Parameter.grad is not { } gradient)
                continue;
            if (slot.Decays)
                slot.Parameter.mul_(1 - learningRate * _weightDecay);
            slot.Mean.mul_(_beta1).add_(gradient, alpha: 1 - _beta1);
            slot.Square.mul_(_beta2).addcmul_(gradient, gradient, value: 1 - _beta2);
            var deviation = slot.Square.sqrt().div_(correction2).add_(Epsilon);
            slot.Parameter.addcdiv_(slot.Mean, deviation, value: -learningRate / correction1);
        }
    }

    private sealed record Slot(string Name, Parameter Parameter, Tensor Mean, Tensor Square)
    {
        public bool Decays { get; } = Parameter.dim() >= 2;
    }
}
