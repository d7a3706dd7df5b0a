using LlamaFullstack.Core.Tokenization;
using LlamaFullstack.Inference;

namespace LlamaFullstack.Run;

/// <summary>llamafs run -m chat: a conversation, a line of stdin at a time. stdout has the replies alone, one after the other.</summary>
internal sealed class ChatMode(Transformer transformer, Tokenizer tokenizer, Sampler sampler, TextReader input, Stream output)
{
    // Ctrl-Z, which Windows's console hands on as a character.
    private const string EndOfTyping = "\u001A";

    /// <summary>Talks until the input ends or the context is full.</summary>
    /// <param name="systemPrompt">Null to ask for one.</param>
    /// <param name="firstWords">What the user says first; empty to ask.</param>
    /// <param name="cancellation">Ends the conversation.</param>
    public void Run(string? systemPrompt, string firstWords, CancellationToken cancellation)
    {
        systemPrompt ??= Ask("Enter system prompt (optional): ", cancellation);
        if (systemPrompt is null)
            return;
        var chat = new ChatSession(transformer, tokenizer, sampler, systemPrompt);
        var words = firstWords.Length > 0 ? firstWords : Ask("User: ", cancellation);
        for (; words is not null; words = Ask("User: ", cancellation))
        {
            Console.Error.Write("Assistant: ");
            var end = chat.Say(words, output.Write, cancellation);
            output.WriteByte((byte)'\n');
            if (end == ReplyEnd.ContextFull)
            {
                Console.Error.WriteLine($"the context of {transformer.Model.Config.MaxSeqLen} tokens is full: this conversation ends here.");
                return;
            }
        }
        Console.Error.WriteLine();
    }

    /// <summary>A line of input; null at its end.</summary>
    private string? Ask(string question, CancellationToken cancellation)
    {
        Console.Error.Write(question);
        // Reading a terminal cannot be cancelled: it is left behind, and the program ends.
        var line = input.ReadLineAsync(CancellationToken.None).AsTask().WaitAsync(cancellation).GetAwaiter().GetResult();
        return line == EndOfTyping ? null : line;
    }
}
