using System.CommandLine;

namespace LlamaFullstack.Cli.Commands;

/// <summary>llamafs run: a model file → text.</summary>
internal static class RunCommand
{
    public static Command Create()
    {
        var model = new Argument<string>("model") { Description = "Model file in llama2.c's format, such as out/model.bin." };
        var temperature = Options.Create("--temperature", "How freely to choose; 0 always takes the likeliest token.", 1.0f, "-t");
        var command = new Command("run", "Tell a story with a trained model.") { model, temperature };
        command.SetAction((parsed, cancellation) => Task.FromResult(Run(parsed.GetValue(model)!, parsed.GetValue(temperature), cancellation)));
        return command;
    }

    private static int Run(string model, float temperature, CancellationToken cancellation) =>
        throw new UsageException($"{model}: the engine is not connected yet (-t {temperature}).");
}
