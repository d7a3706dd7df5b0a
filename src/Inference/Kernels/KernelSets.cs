using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace LlamaFullstack.Inference.Kernels;

/// <summary>Which kernel sets this processor has, and which one to use.</summary>
public static class KernelSets
{
    /// <summary>The environment variable that forces a set: scalar, v128, v256 or v512.</summary>
    public const string Variable = "LLAMAFS_KERNELS";

    private static readonly string[] Known = ["v512", "v256", "v128", "scalar"];

    /// <summary>The sets that this processor can run, the fastest first.</summary>
    /// <remarks>
    /// Wider is faster: decoding is bound by memory, but fewer instructions leave more loads in flight (docs/LOG.md has the ratios; AMD's float32 rows are the exception).
    /// Scalar is always there, last.
    /// </remarks>
    public static IReadOnlyList<KernelSet> Supported { get; } = FindSupported();

    /// <summary>The set of that name; without one, what <see cref="Variable"/> says; without that, the fastest.</summary>
    /// <exception cref="ArgumentException">The name is unknown, or this processor cannot run that set.</exception>
    public static KernelSet Select(string? name = null)
    {
        var asked = name ?? Environment.GetEnvironmentVariable(Variable);
        if (string.IsNullOrEmpty(asked))
            return Supported[0];
        if (Supported.FirstOrDefault(set => set.Name == asked) is { } found)
            return found;

        var names = string.Join(", ", Supported.Select(set => set.Name));
        var reason = Known.Contains(asked) ? "this processor cannot run it" : "no such kernel set";
        throw new ArgumentException($"{Variable}={asked}: {reason}; expected one of {names}.");
    }

    /// <summary>Whether this processor can run v512.</summary>
    internal static bool Has512
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => Avx512F.IsSupported && Avx512BW.IsSupported && Avx512DQ.IsSupported;
    }

    /// <summary>Whether this is a Zen 4: its memory system wants other hints than Intel's and Zen 5's.</summary>
    internal static bool IsZen4 => Avx512F.IsSupported && AmdFamily == 25;

    /// <summary>AMD's number of the processor's family, 26 for Zen 5; 0 where another maker's.</summary>
    private static int AmdFamily => X86Base.IsSupported && X86Base.CpuId(0, 0).Ebx == 0x68747541 // "Auth", the other registers have the rest
        ? (X86Base.CpuId(1, 0).Eax >> 20 & 0xff) + 15 : 0;

    /// <summary>Llama2.c's bits, at the speed that they allow: no set of the processor's, but an arithmetic.</summary>
    internal static KernelSet Strict { get; } = new StrictKernels(Supported[0].Integer);

    private static List<KernelSet> FindSupported()
    {
        // What is narrower than a register of one set is computed by the set before it.
        List<KernelSet> sets = [new ScalarKernels("scalar", new ScalarIntegerKernels())];
        var integer128 = new IntegerKernels128(sets[0].Integer);
        if (Vector128.IsHardwareAccelerated)
            sets.Insert(0, new VectorKernels<Lanes128, Vector128<float>>("v128", sets[0], new Float32Rows<Lanes128, Vector128<float>, NoHints>(), integer128));
        if (!Avx2.IsSupported || !Fma.IsSupported)
            return sets;

        IntegerKernels integer256 = AvxVnni.IsSupported
            ? new IntegerKernels256<AvxVnniProducts>(integer128)
            : new IntegerKernels256WithoutVnni(integer128);
        var rows256 = new Float32Rows<Lanes256, Vector256<float>, NoHints>();
        sets.Insert(0, new VectorKernels<Lanes256, Vector256<float>>("v256", sets[0], rows256, integer256));
        if (!Has512)
            return sets;

        // AMD's processors read memory faster by half a register of the widest (docs/LOG.md).
        Float32Rows rows = IsZen4 ? rows256
            : AmdFamily > 25 ? new Float32Rows<Lanes256, Vector256<float>, NearHints>()
            : new Float32Rows<Lanes512, Vector512<float>, NearHints>();
        IntegerKernels integer512 = IsZen4 ? new IntegerKernels512WithoutVnni<FarHints>(integer128)
            : AvxVnni.IsSupported ? new IntegerKernels512<AvxVnniProducts, NearHints>(integer128)
            : new IntegerKernels512WithoutVnni<NearHints>(integer128);
        sets.Insert(0, new VectorKernels<Lanes512, Vector512<float>>("v512", sets[0], rows, integer512));
        return sets;
    }
}
