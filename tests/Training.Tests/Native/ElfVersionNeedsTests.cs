using LlamaFullstack.Training.Native;

namespace LlamaFullstack.Training.Tests.Native;

public sealed class ElfVersionNeedsTests
{
    private static byte[] Library()
    {
        var path = Path.Combine(AppContext.BaseDirectory, "runtimes", "linux-x64", "native", "libLibTorchSharp.so");
        if (!File.Exists(path))
            Assert.Skip($"this build has no {path}");
        return File.ReadAllBytes(path);
    }

    [Fact]
    public void Weaken_NeededVersion_ChangesOneFlag()
    {
        var before = Library();
        var after = (byte[])before.Clone();

        Assert.True(ElfVersionNeeds.Weaken(after, "GLIBCXX_3.4.32"));
        var changed = Enumerable.Range(0, before.Length).Where(i => before[i] != after[i]).ToList();
        Assert.Equal(before[Assert.Single(changed)] | 2, after[changed[0]]);
    }

    [Fact]
    public void Weaken_VersionThatIsNotNeeded_ChangesNothing()
    {
        var image = Library();
        Assert.False(ElfVersionNeeds.Weaken(image, "GLIBCXX_9.9.9"));
        Assert.Equal(Library(), image);
    }

    [Fact]
    public void Weaken_NoLibrary_IsRefused()
    {
        Assert.Throws<InvalidDataException>(() => ElfVersionNeeds.Weaken([], "X"));
        Assert.Throws<InvalidDataException>(() => ElfVersionNeeds.Weaken(new byte[1000], "X"));
    }

    [Fact]
    public void Weaken_EveryDamagedHeaderByte_NeverReadsOutside()
    {
        // The first 4 KB hold the program headers; the dynamic segment follows from them. Whatever they say, the answer is one of three.
        var image = Library();
        for (var i = 16; i < 700; i++)
        {
            var kept = image[i];
            image[i] ^= 0xff;
            try
            {
                ElfVersionNeeds.Weaken(image, "GLIBCXX_9.9.9");
            }
            catch (InvalidDataException)
            {
            }
            image[i] = kept;
        }
    }
}
