// llamafs: raw text → vocabulary → tokens → training → export → text. Each command is one file in Commands/; run is a room of its own.
using LlamaFullstack.Cli;
using LlamaFullstack.Run;

StandardStreams.Guard();
if (args is ["help", .. var asked])
    args = [.. asked, "--help"];
if (args is not ["run", .. var words])
    return Invocation.Run(args);
return words is [var model, ..] && ModelName.MayBe(model)
    ? ExitCode.Of(stop => RunProgram.Run("llamafs run", ModelName.Resolve(words), stop))
    : RunProgram.Run("llamafs run", words);
