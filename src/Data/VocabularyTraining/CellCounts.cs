// How often the words occur, by the place where they were laid out.
namespace LlamaFullstack.Data.VocabularyTraining;

/// <summary>For a cell of <see cref="SymbolText"/>, how often its word occurs.</summary>
/// <remarks>
/// Words lie by count descending, so this is a staircase with one step for each different count: a few thousand, where there may be millions
/// of words. An occurrence therefore needs no word beside its cell, which halves the lists that all memory goes into.
/// </remarks>
internal sealed class CellCounts
{
    private int[] _ends = new int[1 << 6];      // by step: the cell after its last one
    private long[] _counts = new long[1 << 6];  // by step
    private int _steps;
    private int _step;                          // that of the last question: most are followed by one about the same

    /// <summary>Notes that the next word ends before a cell.</summary>
    public void Add(long count, int end)
    {
        if (_steps == 0 || _counts[_steps - 1] != count)
        {
            if (_steps == _counts.Length)
            {
                Array.Resize(ref _ends, 2 * _steps);
                Array.Resize(ref _counts, 2 * _steps);
            }
            _counts[_steps++] = count;
        }
        _ends[_steps - 1] = end;
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
        var found = Array.BinarySearch(_ends, 0, _steps, cell);
        return found < 0 ? ~found : found + 1;
    }
}
