// Stories → a file of tokens. The stories are gathered into blocks that any free thread encodes, and are written in their order: so one
// large file keeps all cores busy, and what is in memory at a time is a few blocks.

using System.Runtime.InteropServices;
using LlamaFullstack.Core.Tokenization;

namespace LlamaFullstack.Data.Tokens;

/// <summary>Writes BOS and the tokens of each story to a stream.</summary>
/// <param name="tokenizer">Encodes; used from several threads at a time.</param>
/// <param name="output">Where the tokens go.</param>
/// <param name="tokenSize">Bytes a token: 2 or 4.</param>
/// <param name="mostBlocks">How many blocks may be in memory now, beside the one that is being filled; fewer than before once other files are begun.</param>
internal sealed class TokenWriter(Tokenizer tokenizer, Stream output, int tokenSize, Func<int> mostBlocks)
{
    private const int BlockBytes = 1 << 18;

    private readonly Queue<Task<Block>> _running = [];      // in the order of the text
    private readonly Stack<Block> _free = [];
    private Block _block = new();

    /// <summary>Stories added so far.</summary>
    public long Stories { get; private set; }

    /// <summary>Tokens written so far.</summary>
    public long Tokens { get; private set; }

    /// <summary>Adds a story.</summary>
    public void Add(ReadOnlySpan<byte> story)
    {
        _block.Add(story);
        Stories++;
        if (_block.Length >= BlockBytes)
            EncodeBlock();
    }

    /// <summary>Writes what is not written yet.</summary>
    public void Finish()
    {
        EncodeBlock();
        while (_running.Count > 0)
            WriteOldest();
    }

    private void EncodeBlock()
    {
        var block = _block;
        _running.Enqueue(Task.Run(() => block.Encode(tokenizer, tokenSize)));
        while (_running.Count >= mostBlocks())
            WriteOldest();
        _block = _free.TryPop(out var free) ? free : new Block();
    }

    private void WriteOldest()
    {
        // Where no thread has taken it yet, this one encodes it while it waits.
        var block = _running.Dequeue().GetAwaiter().GetResult();
        output.Write(block.Encoded);
        Tokens += block.Encoded.Length / tokenSize;
        // A block that one long story made large is not kept, nor one more than may be in memory now.
        if (block.Length < 2 * BlockBytes && _running.Count + _free.Count < mostBlocks())
            _free.Push(block);
        block.Clear();
    }

    private sealed class Block
    {
        private readonly List<int> _ends = [];
        private readonly List<int> _ids = [];
        private byte[] _text = new byte[BlockBytes + (BlockBytes >> 2)];
        private byte[] _encoded = [];

        public int Length { get; private set; }

        public ReadOnlySpan<byte> Encoded => _encoded.AsSpan(0, EncodedLength);

        private int EncodedLength { get; set; }

        public void Add(ReadOnlySpan<byte> story)
        {
            if (_text.Length - Length < story.Length)
                Array.Resize(ref _text, Math.Max(Length + story.Length, 2 * _text.Length));
            story.CopyTo(_text.AsSpan(Length));
            _ends.Add(Length += story.Length);
        }

        public Block Encode(Tokenizer tokenizer, int tokenSize)
        {
            var start = 0;
            foreach (var end in _ends)
            {
                _ids.Add(Vocabulary.Bos);
                tokenizer.Encode(_text.AsSpan(start..end), _ids);
                start = end;
            }
            EncodedLength = checked(_ids.Count * tokenSize);
            if (_encoded.Length < EncodedLength)
                _encoded = new byte[EncodedLength];
            var ids = CollectionsMarshal.AsSpan(_ids);
            if (tokenSize == sizeof(ushort))
                Narrow(ids, MemoryMarshal.Cast<byte, ushort>(_encoded.AsSpan()));
            else
                MemoryMarshal.AsBytes(ids).CopyTo(_encoded);
            return this;
        }

        public void Clear()
        {
            Length = 0;
            _ends.Clear();
            _ids.Clear();
        }

        private static void Narrow(ReadOnlySpan<int> ids, Span<ushort> tokens)
        {
            for (var i = 0; i < ids.Length; i++)
                tokens[i] = (ushort)ids[i];
        }
    }
}
