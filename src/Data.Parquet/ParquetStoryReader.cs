// Reads stories from a column of a .parquet file, the form in which Hugging Face keeps datasets. The file's layout is Parquet.Net's matter; one
// row group, and of it one column, is in memory at a time.

using System.Text;
using global::Parquet;
using global::Parquet.Schema;
using LlamaFullstack.Core.Formats;
using LlamaFullstack.Data.Datasets;
using LlamaFullstack.Data.Stories;
using ConvertedType = global::Parquet.Meta.ConvertedType;

namespace LlamaFullstack.Data.Parquet;

/// <summary>Reads the stories of a .parquet file: the texts of one column.</summary>
public sealed class ParquetStoryReader : StoryReader
{
    private readonly string _path;
    private readonly FileStream _file;
    private readonly ParquetReader _parquet;
    private readonly DataField _column;
    private readonly long _rows;
    private string?[] _texts = [];      // of the current row group
    private int _group;                 // the next one
    private int _next;                  // the next text in the current one
    private long _rowsDone;
    private byte[] _bytes = new byte[4096];
    private ReadOnlyMemory<byte> _story;

    private ParquetStoryReader(string path, FileStream file, ParquetReader parquet, DataField column)
    {
        (_path, _file, _parquet, _column) = (path, file, parquet, column);
        _rows = parquet.Metadata?.NumRows ?? 0;
    }

    /// <summary>The format, for a <see cref="FileDataset"/>.</summary>
    public static StoryFormat Format { get; } = new(".parquet", (path, source) => Open(path, source.TextColumn));

    /// <summary>Opens a file.</summary>
    /// <param name="path">A .parquet file.</param>
    /// <param name="column">The column of the text; null where there is only one that holds text.</param>
    /// <exception cref="IOException">The file cannot be read.</exception>
    /// <exception cref="InvalidDataException">It is not a .parquet file, or has no such column.</exception>
    public static ParquetStoryReader Open(string path, string? column = null)
    {
        var file = new FileStream(InputFile.Open(path), FileAccess.Read);
        try
        {
            var parquet = Guarded(path, () => ParquetReader.CreateAsync(file, null, true, CancellationToken.None));
            return new ParquetStoryReader(path, file, parquet, Find(path, parquet.Schema, column));
        }
        catch
        {
            file.Dispose();
            throw;
        }
    }

    /// <inheritdoc/>
    public override ReadOnlySpan<byte> Story => _story.Span;

    /// <inheritdoc/>
    public override long Position => _rows == 0 ? _file.Length : (long)((double)_file.Length * _rowsDone / _rows);

    /// <inheritdoc/>
    public override bool Read()
    {
        while (_next == _texts.Length)
            if (!ReadGroup())
                return false;
        var text = _texts[_next++] ?? throw new InvalidDataException($"{_path}: the \"{_column.Name}\" of row {_rowsDone:N0} is missing. Leave such rows out.");
        _rowsDone++;
        var most = Encoding.UTF8.GetMaxByteCount(text.Length);
        if (_bytes.Length < most)
            _bytes = new byte[Math.Max(most, 2 * _bytes.Length)];
        _story = StoryText.Strip(_bytes.AsMemory(0, Encoding.UTF8.GetBytes(text, _bytes)));
        return true;
    }

    /// <inheritdoc/>
    protected override void Dispose(bool disposing)
    {
        _parquet.DisposeAsync().AsTask().GetAwaiter().GetResult();
        _file.Dispose();
    }

    private bool ReadGroup()
    {
        if (_group == _parquet.RowGroupCount)
            return false;
        _texts = Guarded(_path, async () =>
        {
            using var group = _parquet.OpenRowGroupReader(_group);
            var texts = new string?[checked((int)group.RowCount)];
            await group.ReadAsync(_column, texts.AsMemory(), null, CancellationToken.None).ConfigureAwait(false);
            return texts;
        });
        (_group, _next) = (_group + 1, 0);
        return true;
    }

    private static DataField Find(string path, ParquetSchema schema, string? column)
    {
        var texts = schema.DataFields.Where(field => IsText(field)).ToArray();
        var found = column is null ? texts : [.. texts.Where(field => field.Path.ToString() == column)];
        return found.Length == 1 ? found[0]
            : throw new InvalidDataException($"{path}: {(column is null ? $"{texts.Length} columns of text" : $"no column of text \"{column}\"")}. Name one with --text_column: {string.Join(", ", texts.Select(field => field.Path.ToString()))}.");
    }

    private static bool IsText(DataField field) =>
        field is { MaxRepetitionLevel: 0, SchemaElement: { ConvertedType: ConvertedType.UTF8 } or { LogicalType: { STRING: not null } } };

    /// <summary>Parquet.Net has no one exception for a damaged file: whatever it throws means that.</summary>
    private static T Guarded<T>(string path, Func<Task<T>> read)
    {
        try
        {
            return read().GetAwaiter().GetResult();
        }
        catch (Exception e) when (e is not OutOfMemoryException)
        {
            throw new InvalidDataException($"{path}: not a whole .parquet file ({e.Message.ReplaceLineEndings(" ").TrimEnd('.')}). Download or make it again.", e);
        }
    }
}
