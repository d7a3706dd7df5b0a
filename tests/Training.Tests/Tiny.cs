using LlamaFullstack.Core;

namespace LlamaFullstack.Training.Tests;

/// <summary>A model small enough to train in milliseconds, with grouped-query attention.</summary>
internal static class Tiny
{
    public static LlamaConfig Config { get; } = new()
    {
        Dim = 16,
        HiddenDim = 24,
        NLayers = 2,
        NHeads = 4,
        NKvHeads = 2,
        VocabSize = 32,
        MaxSeqLen = 12,
    };
}
