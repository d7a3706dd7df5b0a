// How often the words occur, by the place where they were laid out.
namespace LlamaFullstack.Data.VocabularyTraining;

/// <summary>For a cell of <see cref="SymbolText"/>, how often its word occurs.</summary>
/// <remarks>
/// Words lie by count descending, so this is a staircase with one step for each different count: a few thousand, where there may be millions
/// of words. An occurrence therefore needs no word beside its cell, which halves the lists that all memory goes into.
/// </remarks>
internal sealed class CellCounts
{
    private readonly List<int> _ends = [];      // by step: the cell after its last one
    private readonly List<long> _counts = [];   // by step
    private int _step;                          // that of the last question: most are followed by one about the same

    /// <summary>Notes that the next word ends before a cell.</summary>
    public void Add(long count, int end)
    {
        if (_counts.Count > 0 && _counts[^1] == count)
        {
            _ends[^1] = end;
            return;
        }
        _counts.Add(count);
        _ends.Add(end);
    }

    /// <summary>How often the word of a cell occurs.</summary>
    public long At(int cell)
    {
        if (cell >= _ends[_step] || (_step > 0 && cell < _ends[_step - 1]))
            _step = FindStep(cell);
        return _counts[_step];
    }

    private int FindStep(int cell)
    {
        var found = _ends.BinarySearch(cell);
        return found < 0 ? ~found : found + 1;
    }
}
