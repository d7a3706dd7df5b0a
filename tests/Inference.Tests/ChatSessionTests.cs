using System.Text;
using LlamaFullstack.Core.Tokenization;
using static LlamaFullstack.Inference.Tests.ScriptedModel;

namespace LlamaFullstack.Inference.Tests;

/// <summary>A model that answers every question, "…[/INST]", with "Hi" and the end of its turn.</summary>
public sealed class ChatSessionTests
{
    private static readonly (int, int)[] SaysHi = [(Byte(']'), Byte('H')), (Byte('H'), Byte('i')), (Byte('i'), Vocabulary.Eos)];

    [Fact]
    public void Render_FirstTurnWithSystemPrompt_IsLlama2sForm()
    {
        using var script = new ScriptedModel(100, SaysHi);
        var chat = new ChatSession(script.Transformer, script.Tokenizer, Greedy(), "Be kind.");
        Assert.Equal("[INST] <<SYS>>\nBe kind.\n<</SYS>>\n\nHello [/INST]", chat.Render("Hello"));
    }

    [Fact]
    public void Say_TwoTurns_KeepsBothInTheContext()
    {
        using var script = new ScriptedModel(200, SaysHi);
        var chat = new ChatSession(script.Transformer, script.Tokenizer, Greedy(), "Be kind.");

        Assert.Equal("Hi", Say(chat, "Hello", ReplyEnd.EndOfTurn));
        var first = script.Tokenizer.Encode("[INST] <<SYS>>\nBe kind.\n<</SYS>>\n\nHello [/INST]", bos: true).Length + 3; // H, i, </s>
        Assert.Equal(first, chat.Position);

        Assert.Equal("[INST] Bye [/INST]", chat.Render("Bye")); // the system prompt is said once
        Assert.Equal("Hi", Say(chat, "Bye", ReplyEnd.EndOfTurn));
        Assert.Equal(first + script.Tokenizer.Encode("[INST] Bye [/INST]", bos: true).Length + 3, chat.Position);
    }

    [Fact]
    public void Say_LongWords_TakesCoinsForTheReplyAlone()
    {
        using var script = new ScriptedModel(2000, SaysHi);
        var sampler = WithCoins();
        var chat = new ChatSession(script.Transformer, script.Tokenizer, sampler);
        Assert.Equal("Hi", Say(chat, new string('x', 1500), ReplyEnd.EndOfTurn)); // three times llama2.c's buffer

        var other = WithCoins();
        for (var reply = 0; reply < 3; reply++) // H, i, </s>
            other.NextCoin();
        Assert.Equal(other.NextCoin(), sampler.NextCoin());
    }

    [Fact]
    public void Say_WordsThatDoNotFit_AreNotTakenIn()
    {
        using var script = new ScriptedModel(40, SaysHi);
        var chat = new ChatSession(script.Transformer, script.Tokenizer, Greedy());
        Assert.Equal("", Say(chat, new string('x', 40), ReplyEnd.ContextFull));
        Assert.Equal(0, chat.Position);
        Assert.Equal("Hi", Say(chat, "short", ReplyEnd.EndOfTurn));
    }

    [Fact]
    public void Say_ReplyThatDoesNotFit_IsWrittenAsFarAsItGoes()
    {
        using var script = new ScriptedModel(30, (Byte(']'), Byte('a')), (Byte('a'), Byte('a')));
        var chat = new ChatSession(script.Transformer, script.Tokenizer, Greedy());
        var question = script.Tokenizer.Encode("[INST] q [/INST]", bos: true).Length;
        Assert.Equal(new string('a', 30 - question + 1), Say(chat, "q", ReplyEnd.ContextFull));
        Assert.Equal(30, chat.Position);
        Assert.Equal("", Say(chat, "q", ReplyEnd.ContextFull));
    }

    [Fact]
    public void Say_ModelBeginsAnotherText_EndsTheTurn()
    {
        using var script = new ScriptedModel(60, (Byte(']'), Byte('H')), (Byte('H'), Vocabulary.Bos));
        Assert.Equal("H", Say(new ChatSession(script.Transformer, script.Tokenizer, Greedy()), "q", ReplyEnd.EndOfTurn));
    }

    private static string Say(ChatSession chat, string user, ReplyEnd expected)
    {
        var reply = new StringBuilder();
        Assert.Equal(expected, chat.Say(user, bytes => reply.Append(Encoding.UTF8.GetString(bytes))));
        return reply.ToString();
    }
}
