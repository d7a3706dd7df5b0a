// llamafs: raw text → vocabulary → tokens → training → export → text. Each command is one file in Commands/; run is a room of its own.
using LlamaFullstack.Cli;
using LlamaFullstack.Run;

if (args is not ["run", .. var words])
    return Invocation.Run(args);
return words is [var model, ..] && ModelName.MayBe(model)
    ? ExitCode.Of(_ => RunProgram.Run("llamafs run", ModelName.Resolve(words)))
    : RunProgram.Run("llamafs run", words);
