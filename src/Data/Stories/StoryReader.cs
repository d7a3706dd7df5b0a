// How the stories of a file are read, whatever its format: one after the other, as UTF-8, without white space at their ends.

using System.Text;

namespace LlamaFullstack.Data.Stories;

/// <summary>Reads the stories of one file in order.</summary>
/// <remarks>
/// <code>
/// using var reader = JsonStoryReader.Open("data/TinyStories_all_data/data00.json");
/// while (reader.Read())
///     Use(reader.Story);
/// </code>
/// </remarks>
public abstract class StoryReader : IDisposable
{
    /// <summary>Goes to the next story.</summary>
    /// <returns>False when there is none.</returns>
    /// <exception cref="InvalidDataException">The file is not what it should be; the message names the file and the place.</exception>
    /// <exception cref="IOException">The file cannot be read.</exception>
    public abstract bool Read();

    /// <summary>The text of the current story in UTF-8, without white space at its ends; valid until the next <see cref="Read"/>.</summary>
    public abstract ReadOnlySpan<byte> Story { get; }

    /// <summary>Bytes of the file that are read, for progress.</summary>
    public abstract long Position { get; }

    /// <summary>Stories from a sequence of texts: the whole reader that a format of one's own needs.</summary>
    /// <remarks>An unpaired surrogate becomes U+FFFD, as everywhere in .NET.</remarks>
    public static StoryReader Of(IEnumerable<string> stories) => new Texts(stories);

    /// <inheritdoc/>
    public void Dispose()
    {
        Dispose(disposing: true);
        GC.SuppressFinalize(this);
    }

    /// <summary>Closes what is open.</summary>
    protected abstract void Dispose(bool disposing);

    private sealed class Texts(IEnumerable<string> stories) : StoryReader
    {
        private readonly IEnumerator<string> _stories = stories.GetEnumerator();
        private byte[] _bytes = new byte[4096];
        private ReadOnlyMemory<byte> _story;

        public override ReadOnlySpan<byte> Story => _story.Span;

        public override long Position => 0;

        public override bool Read()
        {
            if (!_stories.MoveNext())
                return false;
            var most = Encoding.UTF8.GetMaxByteCount(_stories.Current.Length);
            if (_bytes.Length < most)
                _bytes = new byte[Math.Max(most, 2 * _bytes.Length)];
            _story = StoryText.Strip(_bytes.AsMemory(0, Encoding.UTF8.GetBytes(_stories.Current, _bytes)));
            return true;
        }

        protected override void Dispose(bool disposing) => _stories.Dispose();
    }
}
