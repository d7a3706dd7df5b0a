using System.CommandLine;
using LlamaFullstack.Cli;
using LlamaFullstack.Cli.Commands;

// llamafs: raw text → vocabulary → tokens → training → export → text. Each command is one file in Commands/; this one only finds it.
// Only the command that was asked for is built, since building all of them is most of the time that a short run takes.
Dictionary<string, Func<Command>> commands = new()
{
    ["run"] = RunCommand.Create,
};

var root = new RootCommand("llamafs: train a small Llama 2 model on your own text and run it. All in .NET.");
foreach (var (name, create) in commands)
    if (args.Length == 0 || !commands.ContainsKey(args[0]) || args[0] == name)
        root.Add(create());
return Invocation.Run(root, args);
