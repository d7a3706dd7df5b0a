using LlamaFullstack.Core.Tokenization;

namespace LlamaFullstack.Inference;

/// <summary>Why a reply ended.</summary>
public enum ReplyEnd
{
    /// <summary>The model said all it had to say.</summary>
    EndOfTurn,

    /// <summary>The context has no room for another token: this conversation is over.</summary>
    ContextFull,
}

/// <summary>A conversation in Llama 2's chat form, kept in the model's context from turn to turn.</summary>
/// <remarks>
/// <code>
/// first turn   &lt;s&gt;[INST] &lt;&lt;SYS&gt;&gt;\n{system}\n&lt;&lt;/SYS&gt;&gt;\n\n{user} [/INST] {reply}&lt;/s&gt;
/// other turns  &lt;s&gt;[INST] {user} [/INST] {reply}&lt;/s&gt;
/// </code>
/// A user's words are read without coins. Not thread-safe: it drives one transformer.
/// </remarks>
public sealed class ChatSession
{
    private readonly Transformer _transformer;
    private readonly Tokenizer _tokenizer;
    private readonly Sampler _sampler;
    private readonly string _systemPrompt;

    /// <summary>Begins a conversation; the parts stay the caller's.</summary>
    /// <param name="transformer">Computes logits.</param>
    /// <param name="tokenizer">Of the same vocabulary.</param>
    /// <param name="sampler">Chooses tokens.</param>
    /// <param name="systemPrompt">Said before the user's first words; empty for none.</param>
    /// <exception cref="ArgumentException">The tokenizer belongs to another model.</exception>
    public ChatSession(Transformer transformer, Tokenizer tokenizer, Sampler sampler, string systemPrompt = "")
    {
        Generator.RequireSameVocabulary(transformer, tokenizer);
        (_transformer, _tokenizer, _sampler, _systemPrompt) = (transformer, tokenizer, sampler, systemPrompt);
    }

    /// <summary>Tokens in the context so far.</summary>
    public int Position { get; private set; }

    private int ContextLength => _transformer.Model.Config.MaxSeqLen;

    /// <summary>Takes the user's words and writes the model's reply as it comes, in whole UTF-8 characters.</summary>
    /// <param name="user">Of any length that the context has room for.</param>
    /// <param name="write">Takes each piece of the reply; the memory is only valid during the call.</param>
    /// <param name="cancellation">Stops between two tokens.</param>
    /// <returns><see cref="ReplyEnd.ContextFull"/> if the reply, or even the user's words, did not fit.</returns>
    /// <exception cref="OperationCanceledException">The turn was cancelled.</exception>
    public ReplyEnd Say(string user, Action<ReadOnlySpan<byte>> write, CancellationToken cancellation = default)
    {
        var turn = _tokenizer.Encode(Render(user), bos: true);
        if (turn.Length > ContextLength - Position)
            return ReplyEnd.ContextFull;
        for (var read = 0; read < turn.Length - 1;)
        {
            cancellation.ThrowIfCancellationRequested();
            var count = Math.Min(Transformer.BatchSize, turn.Length - 1 - read);
            _transformer.Accept(turn.AsSpan(read, count), Position);
            (read, Position) = (read + count, Position + count);
        }
        var characters = new Utf8Stream();
        var end = Reply(turn[^1], characters, write, cancellation);
        write(characters.Flush());
        return end;
    }

    /// <summary>The user's turn as the model was trained to read it.</summary>
    internal string Render(string user) => Position == 0 && _systemPrompt.Length > 0
        ? $"[INST] <<SYS>>\n{_systemPrompt}\n<</SYS>>\n\n{user} [/INST]"
        : $"[INST] {user} [/INST]";

    private ReplyEnd Reply(int token, Utf8Stream characters, Action<ReadOnlySpan<byte>> write, CancellationToken cancellation)
    {
        var previous = Vocabulary.Bos; // a reply, like a text, begins without the space of its first word
        while (Position < ContextLength)
        {
            cancellation.ThrowIfCancellationRequested();
            token = _sampler.Sample(Sampler.RequireChoice(_transformer.Forward(token, Position++)));
            if (token is Vocabulary.Eos or Vocabulary.Bos)
            {
                if (Position < ContextLength)
                    _transformer.Accept(Vocabulary.Eos, Position++);
                return ReplyEnd.EndOfTurn;
            }
            write(characters.Push(_tokenizer.Decode(previous, token)));
            previous = token;
        }
        return ReplyEnd.ContextFull;
    }
}
