using System.Buffers;
using LlamaFullstack.Core;
using LlamaFullstack.Core.Formats;

namespace LlamaFullstack.Export;

/// <summary>Whether two models are the same, and where they differ.</summary>
/// <param name="A">The one file.</param>
/// <param name="B">The other.</param>
/// <param name="Shape">What of the configurations differs, as "name: a, b"; weights are compared only where all dimensions are the same.</param>
/// <param name="Tensors">The largest difference of each tensor, in the order of the forward pass.</param>
public sealed record Verification(string A, string B, IReadOnlyList<string> Shape, IReadOnlyList<TensorDifference> Tensors)
{
    /// <summary>How far both tell the same; null where that was not asked.</summary>
    public TokenComparison? Tokens { get; init; }

    /// <summary>The tensor that differs most; null where no weights were compared.</summary>
    public TensorDifference? Worst => Tensors.MaxBy(tensor => tensor.Difference);

    /// <summary>Whether the configurations are the same and no weight differs by more than this.</summary>
    public bool IsWithin(float tolerance) => Shape.Count == 0 && Tensors.All(tensor => tensor.Difference <= tolerance);

    /// <summary>Compares two models of any format, one tensor at a time.</summary>
    /// <param name="a">The one.</param>
    /// <param name="b">The other.</param>
    /// <param name="progress">Told of each tensor once it was compared.</param>
    /// <param name="cancellation">Stops between two tensors.</param>
    /// <exception cref="InvalidDataException">A file is damaged.</exception>
    public static Verification Of(ModelSource a, ModelSource b, IProgress<TensorWritten>? progress = null, CancellationToken cancellation = default)
    {
        var shape = Differences(a.Tensors.Config, b.Tensors.Config).ToList();
        // The longest context changes no weight, and neither do RoPE's constants: the rest says how many there are.
        if (!TensorNames.All(a.Tensors.Config, true).SequenceEqual(TensorNames.All(b.Tensors.Config, true)))
            return new Verification(a.Path, b.Path, shape, []);

        var tensors = TensorNames.All(a.Tensors.Config, a.Tensors.SharedClassifier && b.Tensors.SharedClassifier).ToList();
        var found = new List<TensorDifference>();
        foreach (var tensor in tensors)
        {
            cancellation.ThrowIfCancellationRequested();
            found.Add(Compare(a.Tensors, b.Tensors, tensor));
            progress?.Report(new TensorWritten(found.Count - 1, tensors.Count, tensor, 0, 0));
        }
        return new Verification(a.Path, b.Path, shape, found);
    }

    private static IEnumerable<string> Differences(LlamaConfig a, LlamaConfig b)
    {
        (string Name, object? A, object? B)[] fields =
        [
            ("dim", a.Dim, b.Dim), ("hidden_dim", a.HiddenDim, b.HiddenDim), ("n_layers", a.NLayers, b.NLayers),
            ("n_heads", a.NHeads, b.NHeads), ("n_kv_heads", a.NKvHeads, b.NKvHeads), ("vocab_size", a.VocabSize, b.VocabSize),
            ("max_seq_len", a.MaxSeqLen, b.MaxSeqLen), ("rope_theta", a.RopeTheta, b.RopeTheta), ("norm_eps", a.NormEps, b.NormEps),
            ("rope_scaling", a.RopeScaling, b.RopeScaling),
        ];
        return fields.Where(field => !Equals(field.A, field.B)).Select(field => FormattableString.Invariant($"{field.Name}: {field.A ?? "none"}, {field.B ?? "none"}"));
    }

    private static TensorDifference Compare(ITensorSource a, ITensorSource b, TensorShape tensor)
    {
        var worst = new TensorDifference(tensor.Name, 0, 0, 0, 0, 0);
        var found = new Lock();
        TensorParts.ForEach(a, tensor, (start, valuesOfA) =>
        {
            var rented = ArrayPool<float>.Shared.Rent(valuesOfA.Length);
            var valuesOfB = rented.AsSpan(0, valuesOfA.Length);
            b.Read(tensor.Name, start, valuesOfB);
            var (difference, at) = LargestDifference(valuesOfA, valuesOfB);
            var (row, column) = tensor.IsVector ? (0, at) : Math.DivRem(start + at, tensor.Cols);
            lock (found)
                if (difference > worst.Difference || (difference == worst.Difference && row < worst.Row)) // the first of equals, in whatever order the parts come
                    worst = new TensorDifference(tensor.Name, difference, (int)row, (int)column, valuesOfA[at], valuesOfB[at]);
            ArrayPool<float>.Shared.Return(rented);
            return default;
        });
        return worst;
    }

    private static (float Difference, int At) LargestDifference(ReadOnlySpan<float> a, ReadOnlySpan<float> b)
    {
        var (largest, at) = (0f, 0);
        if (a.SequenceEqual(b))
            return (largest, at);
        for (var i = 0; i < a.Length; i++)
        {
            // NaN is the same as NaN, and as different from a number as can be.
            var difference = a[i].Equals(b[i]) ? 0 : Math.Abs(a[i] - b[i]);
            if (float.IsNaN(difference))
                difference = float.PositiveInfinity;
            if (difference > largest)
                (largest, at) = (difference, i);
        }
        return (largest, at);
    }
}

/// <summary>How far the likeliest tokens of two models are the same, from the beginning of a text.</summary>
/// <param name="Shared">Tokens that are.</param>
/// <param name="A">The first of the one that is not; null where it has ended.</param>
/// <param name="B">The first of the other that is not; null where it has ended.</param>
public sealed record TokenComparison(int Shared, int? A, int? B)
{
    /// <summary>Whether both tell the same to the end.</summary>
    public bool AreSame => A is null && B is null;

    /// <summary>Compares two texts.</summary>
    public static TokenComparison Of(IReadOnlyList<int> a, IReadOnlyList<int> b)
    {
        var shared = a.Zip(b).TakeWhile(pair => pair.First == pair.Second).Count();
        return new TokenComparison(shared, shared < a.Count ? a[shared] : null, shared < b.Count ? b[shared] : null);
    }
}

/// <summary>Where two tensors differ most.</summary>
/// <param name="Name">The tensor.</param>
/// <param name="Difference">The largest |a - b|; 0 where all values are the same.</param>
/// <param name="Row">Row of that value; 0 in a vector.</param>
/// <param name="Column">Column of that value.</param>
/// <param name="A">The value in the one model.</param>
/// <param name="B">The value in the other.</param>
public sealed record TensorDifference(string Name, float Difference, int Row, int Column, float A, float B);
