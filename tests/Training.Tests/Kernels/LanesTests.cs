using LlamaFullstack.Training.Kernels;

namespace LlamaFullstack.Training.Tests.Kernels;

/// <summary>Exponentials in every register against float64.</summary>
public sealed unsafe class LanesTests
{
    [Fact]
    public void Exp2_AnyExponent_IsWithinTwoUlp()
    {
        Check<Register512<float>>(Lanes.Exp2<Register512<float>, float>, double.Exp2, -125.5, 127);
        Check<Register256<float>>(Lanes.Exp2<Register256<float>, float>, double.Exp2, -125.5, 127);
        Check<Register128<float>>(Lanes.Exp2<Register128<float>, float>, double.Exp2, -125.5, 127);
    }

    [Fact]
    public void Exp_AnyExponent_IsWithinTwoUlp()
    {
        Check<Register512<float>>(Lanes.Exp<Register512<float>, float>, Math.Exp, -87.33, 88.37);
        Check<Register256<float>>(Lanes.Exp<Register256<float>, float>, Math.Exp, -87.33, 88.37);
        Check<Register128<float>>(Lanes.Exp<Register128<float>, float>, Math.Exp, -87.33, 88.37);
    }

    /// <summary>Zero below the least exponent, however far, and NaN for NaN; between the bounds within two units in the last place.</summary>
    private static void Check<V>(Func<V, V> function, Func<double, double> exact, double least, double greatest) where V : unmanaged, IRegister<V, float>
    {
        float Of(float x)
        {
            var values = stackalloc float[V.Count];
            function(V.Create(x)).Store(values);
            return values[V.Count - 1];
        }
        for (var x = least; x <= greatest; x += 0.00317)
        {
            var (argument, value) = ((float)x, Of((float)x));
            if (argument < (float)least)
                continue; // rounded to below
            var expected = exact(argument);
            Assert.True(Math.Abs(value - expected) <= 2 * Math.ScaleB(1, Math.ILogB(expected) - 23), $"{typeof(V)}: {argument} gives {value}, not {expected}");
        }
        foreach (var x in (float[])[(float)least - 0.01f, -1e3f, -1e9f, float.MinValue, float.NegativeInfinity])
            Assert.Equal(0, Of(x));
        Assert.Equal(1, Of(0));
        Assert.True(float.IsNaN(Of(float.NaN)));
    }
}
