// llamafs-run: a model file → text, and nothing else. The same as llamafs run, in one small file that starts at once.

// The console looks for the terminal's description at home. Where nobody says where that is it would ask for the user's entry, for which
// the C library inside this program (see Run.csproj) may load parts from outside, and end on it.
if (OperatingSystem.IsLinux() && string.IsNullOrEmpty(Environment.GetEnvironmentVariable("HOME")))
    Environment.SetEnvironmentVariable("HOME", "/");

LlamaFullstack.Run.StandardStreams.Guard();
return LlamaFullstack.Run.RunProgram.Run("llamafs-run", args);
