// llamafs: raw text → vocabulary → tokens → training → export → text. Each command is one file in Commands/; run is a room of its own.
using LlamaFullstack.Cli;
using LlamaFullstack.Run;

return args is ["run", .. var rest] ? RunProgram.Run("llamafs run", rest) : Invocation.Run(args);
