using TorchSharp;

namespace LlamaFullstack.Training.Native;

/// <summary>Numbers that libtorch is given at every update, held for ever.</summary>
/// <remarks>TorchSharp hands libtorch a number's native copy without holding the number: a garbage collection in that moment frees what is being read, and
/// libtorch then fails in toFloat, or takes another number. What is made for one call must be held until it returns: by using.</remarks>
internal static class HeldNumbers
{
    /// <summary>The factor of what add_ adds, which it makes anew at each call where it is given none.</summary>
    public static Scalar One { get; } = 1;
}
