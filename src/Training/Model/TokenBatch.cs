using LlamaFullstack.Training.Kernels;
using static TorchSharp.torch;

namespace LlamaFullstack.Training.Model;

/// <summary>The tokens of a batch and what follows each, in tiles that do not cross from one sequence to the next: -1 is no token.</summary>
internal sealed class TokenBatch
{
    private readonly int _tile;
    private readonly long[] _tokens;
    private readonly long[] _targets;

    /// <param name="tokens">(sequences, time), 64-bit integers.</param>
    /// <param name="targets">The token after each one; -1 does not count.</param>
    /// <param name="tile">Tokens in a tile.</param>
    /// <param name="dropout">What to drop of this batch's activations.</param>
    public TokenBatch(Tensor tokens, Tensor targets, int tile, DropoutMask dropout)
    {
        _tile = tile;
        Dropout = dropout;
        var time = (int)tokens.shape[1];
        Sequences = (int)tokens.shape[0];
        TilesOfSequence = (time + tile - 1) / tile;
        _tokens = InTiles(tokens.data<long>().ToArray(), time);
        _targets = InTiles(targets.data<long>().ToArray(), time);
        Share = 1.0 / _targets.Count(target => target >= 0);
    }

    public DropoutMask Dropout { get; }

    public int Sequences { get; }

    public int TilesOfSequence { get; }

    public int Tiles => Sequences * TilesOfSequence;

    /// <summary>Of one token that counts in the mean loss.</summary>
    public double Share { get; }

    public ReadOnlySpan<long> Tokens(int tile) => _tokens.AsSpan(tile * _tile, _tile);

    public ReadOnlySpan<long> Targets(int tile) => _targets.AsSpan(tile * _tile, _tile);

    private long[] InTiles(long[] values, int time)
    {
        var padded = TilesOfSequence * _tile;
        var result = new long[Sequences * padded];
        Array.Fill(result, -1);
        for (var sequence = 0; sequence < Sequences; sequence++)
            values.AsSpan(sequence * time, time).CopyTo(result.AsSpan(sequence * padded));
        return result;
    }
}
