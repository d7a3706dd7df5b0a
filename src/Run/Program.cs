// llamafs-run: a model file → text, and nothing else. The same as llamafs run, in one small file that starts at once.
LlamaFullstack.Run.StandardStreams.Guard();
return LlamaFullstack.Run.RunProgram.Run("llamafs-run", args);
