using System.Text.Encodings.Web;
using System.Text.Json;
using LlamaFullstack.Core.Formats;

namespace LlamaFullstack.Data.Stories;

/// <summary>Writes a shard of stories, as <see cref="JsonStoryReader"/> reads it.</summary>
public static class StoryShardWriter
{
    // Only what JSON must escape is escaped, so that a shard is readable as it lies on the disk.
    private static readonly JsonWriterOptions Options = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    /// <summary>Writes a JSON array with an object {"story": …} for each story. The file appears whole or not at all.</summary>
    /// <param name="path">The file to create or replace.</param>
    /// <param name="stories">The texts, taken one at a time.</param>
    /// <exception cref="IOException">The file cannot be written.</exception>
    public static void Write(string path, IEnumerable<string> stories) => AtomicFile.Write(path, file =>
    {
        using var json = new Utf8JsonWriter(file, Options);
        json.WriteStartArray();
        foreach (var story in stories)
        {
            json.WriteStartObject();
            json.WriteString("story"u8, story);
            json.WriteEndObject();
            json.Flush();       // hands this story to the file's buffer; the writer itself would keep all of them
        }
        json.WriteEndArray();
    });
}
