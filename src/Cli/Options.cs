using System.CommandLine;
using System.CommandLine.Parsing;
using System.Globalization;
using System.Numerics;

namespace LlamaFullstack.Cli;

/// <summary>Options with llama2.c's names (snake_case, single letters), a kebab-case alias, and messages that say what was expected.</summary>
internal static class Options
{
    /// <summary>Makes an option.</summary>
    /// <param name="name">Its name, such as "--vocab_size"; "--vocab-size" then works too.</param>
    /// <param name="description">One line for the help.</param>
    /// <param name="defaultValue">The value where it is not given.</param>
    /// <param name="aliases">Other names, such as "-t".</param>
    public static Option<T> Create<T>(string name, string description, T defaultValue, params string[] aliases)
    {
        var option = CreateWithoutDefault<T>(name, description, aliases);
        option.DefaultValueFactory = _ => defaultValue;
        return option;
    }

    /// <summary>Makes an option that is null, or the type's default, where it is not given.</summary>
    public static Option<T> CreateWithoutDefault<T>(string name, string description, params string[] aliases)
    {
        var option = new Option<T>(name, [.. OtherNames(name), .. aliases]) { Description = description };
        if (Parser<T>() is { } parse)
            option.CustomParser = result => parse(result, name);
        return option;
    }

    /// <summary>The same name with dashes, where that is another.</summary>
    public static string[] OtherNames(string name) => name.Contains('_') ? [name.Replace('_', '-')] : [];

    /// <summary>Refuses values out of range where they are parsed, in the option's name.</summary>
    /// <param name="option">An option of numbers: others have no parser here.</param>
    /// <param name="accepts">Whether a value is in range.</param>
    /// <param name="expected">What is, such as "1 or more".</param>
    /// <exception cref="ArgumentException">It is one of others.</exception>
    public static Option<T> Where<T>(this Option<T> option, Func<T, bool> accepts, string expected)
    {
        var parse = option.CustomParser ?? throw new ArgumentException($"{option.Name}: is not an option of numbers.", nameof(option));
        option.CustomParser = result =>
        {
            var value = parse(result);
            if (!result.Errors.Any() && !accepts(value!))
                result.AddError($"{option.Name} {result.Tokens[0].Value}: expected {expected}.");
            return value;
        };
        return option;
    }

    private static Func<ArgumentResult, string, T>? Parser<T>()
    {
        var type = Nullable.GetUnderlyingType(typeof(T)) ?? typeof(T);
        if (type == typeof(int))
            return (result, name) => Parse<int, T>(result, name, NumberStyles.Integer, "a whole number");
        if (type == typeof(long))
            return (result, name) => Parse<long, T>(result, name, NumberStyles.Integer, "a whole number");
        if (type == typeof(ulong))
            return (result, name) => Parse<ulong, T>(result, name, NumberStyles.Integer, "a whole number, not negative");
        if (type == typeof(float))
            return (result, name) => Parse<float, T>(result, name, NumberStyles.Float, "a number");
        if (type == typeof(double))
            return (result, name) => Parse<double, T>(result, name, NumberStyles.Float, "a number");
        return null;
    }

    // The style matters: without one, "0,5" would be read as 5, the comma taken for a separator of thousands.
    private static T Parse<TNumber, T>(ArgumentResult result, string name, NumberStyles style, string expected) where TNumber : struct, INumber<TNumber>, IMinMaxValue<TNumber>
    {
        var text = result.Tokens.Count == 1 ? result.Tokens[0].Value : "";
        if (TNumber.TryParse(text, style, CultureInfo.InvariantCulture, out var value) && TNumber.IsFinite(value))
            return (T)(object)value;
        var isTooLarge = style == NumberStyles.Integer && BigInteger.TryParse(text, style, CultureInfo.InvariantCulture, out var number) && number.Sign > 0;
        result.AddError($"{name} {text}: expected {expected}{(isTooLarge ? $" up to {TNumber.MaxValue}" : "")}.");
        return default!;
    }
}
