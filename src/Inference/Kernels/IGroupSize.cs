namespace LlamaFullstack.Inference.Kernels;

/// <summary>How many weights share a scale, known to the compiler where the kernel is made for that size: its inner loop then has no end to look for.</summary>
internal interface IGroupSize
{
    /// <summary>Weights in a group.</summary>
    static abstract nint Of(in Int8Vector x);
}

/// <summary>4: what stories260K is made of.</summary>
internal readonly struct GroupsOf4 : IGroupSize
{
    public static nint Of(in Int8Vector x) => 4;
}

/// <summary>8.</summary>
internal readonly struct GroupsOf8 : IGroupSize
{
    public static nint Of(in Int8Vector x) => 8;
}

/// <summary>16.</summary>
internal readonly struct GroupsOf16 : IGroupSize
{
    public static nint Of(in Int8Vector x) => 16;
}

/// <summary>32: what the rows of 15M and 42M models are made of, and Q8_0's.</summary>
internal readonly struct GroupsOf32 : IGroupSize
{
    public static nint Of(in Int8Vector x) => 32;
}

/// <summary>64: llama2.c's first choice.</summary>
internal readonly struct GroupsOf64 : IGroupSize
{
    public static nint Of(in Int8Vector x) => 64;
}

/// <summary>Any other multiple of 32.</summary>
internal readonly struct GroupsOfAnySize : IGroupSize
{
    public static nint Of(in Int8Vector x) => x.GroupSize;
}
