namespace LlamaFullstack.Data.Loading;

/// <summary>One batch of training data.</summary>
/// <param name="Tokens">(batch_size, max_seq_len), row by row.</param>
/// <param name="Targets">The token that follows each one, in the same shape.</param>
/// <param name="NextPosition">Where the loader stands after this batch: give it to <see cref="BatchLoader.Seek"/> to go on from here.</param>
public sealed record Batch(long[] Tokens, long[] Targets, long NextPosition);
