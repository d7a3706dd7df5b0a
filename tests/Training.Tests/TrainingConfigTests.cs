namespace LlamaFullstack.Training.Tests;

public sealed class TrainingConfigTests
{
    [Fact]
    public void Defaults_AreThoseOfLlama2c()
    {
        var config = TrainingOptions.Resolve(preset: null, configFile: null, []);

        Assert.Equal(new TrainingConfig(), config);
        Assert.Equal(131072, config.TokensPerIteration);
        Assert.Equal(768, config.Model.HiddenDim);
        Assert.True(config.UsesLlama2Vocab);
        Assert.Equal(0, config.DataVocabSize);
    }

    [Fact]
    public void Resolve_EachLayer_OverridesTheOneBefore()
    {
        using var folder = new TempFolder();
        var file = folder.Write("config.json", """{ "n_layers": 3, "learning_rate": 1e-3, "decay_lr": false, /* as llama2.c's configs */ "seed": 5, }"""u8.ToArray());

        var config = TrainingOptions.Resolve("260K", file, [("seed", "7"), ("eval_only", "True")]);

        Assert.Equal(64, config.Dim);               // preset
        Assert.Equal(3, config.NLayers);            // file over preset
        Assert.Equal(1e-3, config.LearningRate);    // file over preset
        Assert.False(config.DecayLr);               // file over default
        Assert.Equal(7, config.Seed);               // command line over file
        Assert.True(config.EvalOnly);
        Assert.Equal(0.1, config.WeightDecay);      // default
        Assert.False(config.UsesLlama2Vocab);       // follows from vocab_size 512
    }

    [Theory]
    [InlineData("260K", 260032)]
    [InlineData("15M", 15191712)]
    [InlineData("42M", 41689600)]
    [InlineData("110M", 109529856)]
    public void Preset_EachModel_HasLlama2cParameters(string preset, long parameters) =>
        Assert.Equal(parameters, TrainingOptions.Resolve(preset, configFile: null, []).Model.ParameterCount);

    [Theory]
    [InlineData("n_heads", "7", "--n_heads 7: must divide --dim 288.")]
    [InlineData("n_kv_heads", "4", "--n_kv_heads 4: must divide --n_heads 6.")]
    [InlineData("dim", "0", "--dim 0: must be at least 1.")]
    [InlineData("dim", "abc", "--dim abc: expected a whole number.")]
    [InlineData("dropout", "1", "--dropout 1: must be at least 0 and below 1.")]
    [InlineData("learning_rate", "0,5", "--learning_rate 0,5: expected a finite number.")]
    [InlineData("compile", "maybe", "--compile maybe: expected True or False.")]
    [InlineData("init_from", "gpt2", "--init_from gpt2: must be scratch or resume.")]
    [InlineData("dtype", "int8", "--dtype int8: must be float32 or bfloat16 or float16.")]
    [InlineData("min_lr", "1", "--min_lr 1: must lie between 0 and --learning_rate 0.0005.")]
    [InlineData("batchsize", "4", "--batchsize: no such option. Did you mean --batch_size?")]
    [InlineData("bacth_size", "4", "--bacth_size: no such option. Did you mean --batch_size?")]
    [InlineData("frobnicate", "4", "--frobnicate: no such option.")]
    public void Resolve_WrongValue_NamesTheOption(string name, string value, string message) =>
        Assert.Equal(message, Assert.Throws<ArgumentException>(() => TrainingOptions.Resolve(null, null, [(name, value)])).Message);

    [Fact]
    public void Resolve_Llama2VocabularyOfAnotherSize_IsRefused()
    {
        var error = Assert.Throws<ArgumentException>(() => TrainingOptions.Resolve(null, null, [("vocab_source", "llama2"), ("vocab_size", "512")]));
        Assert.Contains("must be 32000 with --vocab_source llama2", error.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("[]", typeof(InvalidDataException), "must be a JSON object")]
    [InlineData("{ \"dim\": ", typeof(InvalidDataException), "not valid JSON in line 1")]
    [InlineData("{ \"dims\": 3 }", typeof(ArgumentException), "--dims: no such option")]
    public void WithJson_BadFile_NamesIt(string json, Type type, string message)
    {
        var error = Assert.Throws(type, () => new TrainingConfig().WithJson(json, "run.json"));
        Assert.StartsWith("run.json: ", error.Message, StringComparison.Ordinal);
        Assert.Contains(message, error.Message, StringComparison.Ordinal);
    }

    // Measured with llama2.c's get_lr (spec, section 6).
    [Theory]
    [InlineData(0, 0)]
    [InlineData(500, 2.5e-4)]
    [InlineData(1000, 5e-4)]
    [InlineData(50500, 2.5e-4)]
    [InlineData(100000, 0)]
    [InlineData(100001, 0)]
    public void Schedule_Default_IsThatOfLlama2c(long iteration, double rate) =>
        Assert.Equal(rate, new TrainingConfig().Schedule.At(iteration), 1e-12);

    [Fact]
    public void StepEvent_Text_IsLlama2csLine() =>
        Assert.Equal("12 | loss 3.1416 | lr 5.000000e-04 | 1234.50ms | mfu 1.25%",
            new StepEvent(12, 3.14159, 3.2, 5e-4, TimeSpan.FromMilliseconds(1234.5), 0, 0.0125).ToString());

    [Fact]
    public void EvalEvent_Text_IsLlama2csLine() =>
        Assert.Equal("step 2000: train loss 1.5000, val loss 1.6000", new EvalEvent(2000, 1.5, 1.6, 0, 0).ToString());
}
