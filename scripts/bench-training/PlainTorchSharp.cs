// A plain TorchSharp training step of the same model: nn.Linear, TorchSharp's AdamW, the C library's allocator as it comes.
// What scripts/bench-training.sh compares with. Usage: PlainTorchSharp PRESET STEPS, or PlainTorchSharp tokens FOLDER VOCAB_SIZE for random shards.
using System.Diagnostics;
using System.Globalization;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;
using static TorchSharp.torch.nn.functional;

if (args[0] == "tokens")
{
    RandomTokens.Write(args[1], int.Parse(args[2], CultureInfo.InvariantCulture));
    return 0;
}
Bench.Load();
return Bench.Run(args[0], int.Parse(args[1], CultureInfo.InvariantCulture));

internal static class RandomTokens
{
    // Tokens mean nothing here, only their number.
    public static void Write(string folder, int vocabulary)
    {
        Directory.CreateDirectory(folder);
        var random = new Random(1);
        for (var shard = 0; shard < 2; shard++)
        {
            var tokens = Enumerable.Range(0, 400_000).Select(_ => (ushort)random.Next(3, vocabulary)).ToArray();
            File.WriteAllBytes(Path.Combine(folder, $"data{shard:D2}.bin"), MemoryMarshal.AsBytes<ushort>(tokens).ToArray());
        }
    }
}

internal static class Bench
{
    // NativeLibrary.Load, and not TorchRuntime.Load, which would also set the allocator; naming its assembly cures older systems' loads.
    public static void Load()
    {
        RuntimeHelpers.RunModuleConstructor(typeof(LlamaFullstack.Training.Native.TorchRuntime).Module.ModuleHandle);
        NativeLibrary.Load("LibTorchSharp", typeof(torch).Assembly, null);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    public static int Run(string preset, int steps)
    {
        var (shape, batch) = preset == "15M" ? (new Shape(288, 768, 6, 6, 6, 32000, 256), 8) : (new Shape(64, 172, 5, 8, 4, 512, 256), 8);
        manual_seed(1337);
        using var model = new Plain(shape);
        using var optimizer = optim.AdamW(
        [
            new AdamW.ParamGroup(model.parameters().Where(p => p.dim() >= 2), new() { weight_decay = 0.1 }),
            new AdamW.ParamGroup(model.parameters().Where(p => p.dim() < 2), new() { weight_decay = 0 }),
        ], lr: 5e-4, beta1: 0.9, beta2: 0.95);
        var times = new List<double>();
        var faults = 0L;
        for (var step = 0; step < steps; step++)
        {
            if (step == steps / 2)
                faults = PageFaults();
            using var scope = NewDisposeScope();
            var x = randint(3, shape.Vocab, [batch, shape.Time + 1], dtype: ScalarType.Int64);
            var start = Stopwatch.GetTimestamp();
            var logits = model.forward(x.narrow(1, 0, shape.Time));
            var loss = cross_entropy(logits.view(-1, shape.Vocab), x.narrow(1, 1, shape.Time).reshape(-1));
            loss.backward();
            nn.utils.clip_grad_norm_(model.parameters(), 1.0);
            optimizer.step();
            optimizer.zero_grad();
            times.Add(Stopwatch.GetElapsedTime(start).TotalSeconds);
        }
        times.RemoveAt(0);
        times.Sort();
        using var process = Process.GetCurrentProcess();
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture,
            $"{batch * shape.Time / times[times.Count / 2]:F0} tok/s, {process.PeakWorkingSet64 >> 20} MB, {(PageFaults() - faults) / (steps - steps / 2)} page faults a step (plain TorchSharp, {get_num_threads()} threads)"));
        return 0;
    }

    private static long PageFaults() =>
        File.Exists("/proc/self/stat") ? long.Parse(File.ReadAllText("/proc/self/stat").Split(' ')[9], CultureInfo.InvariantCulture) : 0;
}

internal sealed record Shape(long Dim, long Hidden, int Layers, long Heads, long KvHeads, long Vocab, long Time);

internal sealed class Norm : nn.Module<Tensor, Tensor>
{
    private readonly Parameter _weight;

    public Norm(long dim) : base(nameof(Norm))
    {
        _weight = new Parameter(ones(dim));
        RegisterComponents();
    }

    public override Tensor forward(Tensor x) => x * rsqrt(x.square().mean([-1], keepdim: true) + 1e-5) * _weight;
}

internal sealed class Block : nn.Module<Tensor, Tensor>
{
    private readonly Shape _shape;
    private readonly Tensor _cos;
    private readonly Tensor _sin;
    private readonly Norm _attentionNorm, _ffnNorm;
    private readonly Linear _wq, _wk, _wv, _wo, _w1, _w2, _w3;

    public Block(Shape shape) : base(nameof(Block))
    {
        _shape = shape;
        Linear New(long from, long to) => nn.Linear(from, to, hasBias: false);
        var size = shape.Dim / shape.Heads;
        (_attentionNorm, _ffnNorm) = (new Norm(shape.Dim), new Norm(shape.Dim));
        (_wq, _wk, _wv, _wo) = (New(shape.Dim, shape.Dim), New(shape.Dim, size * shape.KvHeads), New(shape.Dim, size * shape.KvHeads), New(shape.Dim, shape.Dim));
        (_w1, _w2, _w3) = (New(shape.Dim, shape.Hidden), New(shape.Hidden, shape.Dim), New(shape.Dim, shape.Hidden));
        var angles = outer(arange(shape.Time, dtype: ScalarType.Float32), 1 / pow(10000, arange(0, size, 2, dtype: ScalarType.Float32) / size)).unsqueeze(1);
        (_cos, _sin) = (angles.cos(), angles.sin());
        RegisterComponents();
    }

    public override Tensor forward(Tensor x)
    {
        var h = _attentionNorm.forward(x);
        var q = Rotate(Heads(_wq.forward(h), _shape.Heads));
        var k = Repeat(Rotate(Heads(_wk.forward(h), _shape.KvHeads)));
        var v = Repeat(Heads(_wv.forward(h), _shape.KvHeads));
        var attended = scaled_dot_product_attention(q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2), is_casual: true);
        x = x + _wo.forward(attended.transpose(1, 2).reshape(x.shape));
        h = _ffnNorm.forward(x);
        return x + _w2.forward(silu(_w1.forward(h)) * _w3.forward(h));
    }

    private static Tensor Heads(Tensor x, long heads) => x.view(x.shape[0], x.shape[1], heads, -1);

    private Tensor Repeat(Tensor x) => _shape.Heads == _shape.KvHeads ? x
        : x.unsqueeze(3).expand(-1, -1, -1, _shape.Heads / _shape.KvHeads, -1).flatten(2, 3);

    private Tensor Rotate(Tensor x)
    {
        var pairs = x.view(x.shape[0], x.shape[1], x.shape[2], -1, 2);
        var (re, im) = (pairs.select(-1, 0), pairs.select(-1, 1));
        return stack([re * _cos - im * _sin, re * _sin + im * _cos], dim: -1).flatten(3);
    }
}

internal sealed class Plain : nn.Module<Tensor, Tensor>
{
    private readonly Embedding _embedding;
    private readonly ModuleList<Block> _layers;
    private readonly Norm _norm;

    public Plain(Shape shape) : base(nameof(Plain))
    {
        _embedding = nn.Embedding(shape.Vocab, shape.Dim);
        nn.init.normal_(_embedding.weight!, 0, 0.02);
        _layers = new([.. Enumerable.Range(0, shape.Layers).Select(_ => new Block(shape))]);
        _norm = new Norm(shape.Dim);
        RegisterComponents();
    }

    public override Tensor forward(Tensor tokens)
    {
        var x = _embedding.forward(tokens);
        foreach (var layer in _layers)
            x = layer.forward(x);
        return linear(_norm.forward(x), _embedding.weight!);
    }
}
