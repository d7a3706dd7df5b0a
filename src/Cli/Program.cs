// llamafs: raw text → vocabulary → tokens → training → export → text. Each command is one file in Commands/.
return LlamaFullstack.Cli.Invocation.Run(LlamaFullstack.Cli.CommandTable.RootFor(args), args);
