namespace LlamaFullstack.Run;

/// <summary>The command line asks for something that cannot be: exit code 2.</summary>
/// <param name="message">One line: the option, what is wrong, what was expected.</param>
public sealed class UsageException(string message) : Exception(message);
