using System.Globalization;
using LlamaFullstack.Export.Sources;

namespace LlamaFullstack.Export.Tests;

/// <summary>Real files of PyTorch, of both layouts: what torch.load says is in them is what is read.</summary>
public sealed class TorchFileTests
{
    // Printed by PyTorch 1.13.1 from the fixtures: file, path of keys, shape, values as float32 in row-major order (12 at most).
    private const string LoadedByTorch = """
        bfloat16: tensor (3) 1.5 -2.5 3.5
        bool: tensor (5) 1 0 1 1 0
        buffers: buffer1 (3) 1 2 3
        buffers: buffer2 (2) 1 0
        checkpoint: model_state_dict/fc1.weight (10, 5) 1.041401 -0.39973062 -2.2933345 0.4975626 -0.4257231 -1.337147 -0.19333632 0.65264356 -0.3062784 -0.33015838 -0.98080295 0.1947336 …
        checkpoint: model_state_dict/fc1.bias (10) -0.09089038 -0.5790548 -0.85045755 0.08587063 0.18609339 0.6756506 0.1312589 0.018155951 -2.2498298 2.1010282
        checkpoint: model_state_dict/fc2.weight (3, 10) 0.17869195 -0.12930897 -0.9291302 0.27619088 -0.5388751 0.46258235 -0.8718892 -0.027118294 0.34159094 -0.22135624 1.2554343 -0.7149558 …
        checkpoint: model_state_dict/fc2.bias (3) 1.4371334 -0.44006175 0.49959478
        checkpoint: optimizer_state_dict/state/0/momentum_buffer (10, 5) 0.9732941 -1.0150788 -0.54191756 -0.44102487 -0.3136178 -0.12925422 -0.71496207 -0.047562078 2.0207436 0.253919 0.9364385 0.7122364 …
        complex_structure: state/encoder/layer_0/weight (4, 3) -1.1915973 1.5229065 0.5082498 -0.58181965 1.3805919 -0.3399964 0.0045520426 -0.7543948 -0.49076897 0.7049347 1.527844 -0.3319322
        complex_structure: state/encoder/layer_0/bias (4) 1.639076 0.81775606 1.8935002 -0.074124515
        complex_structure: state/encoder/layer_1/weight (2, 4) 0.16108324 0.18063714 2.6024308 0.93874645 -1.5747256 0.56906 -0.7668133 -0.9220622
        complex_structure: state/encoder/layer_1/bias (2) 1.5613699 0.6987991
        complex_structure: state/decoder/weight (3, 2) 0.006007744 -0.41317454 1.1813669 0.78603834 -0.6831819 0.42930046
        complex_structure: state/decoder/bias (3) -1.002383 0.44516197 1.7130821
        empty: tensor (0)
        extreme_values: tensor (4) 1e-30 1e+30 -1e-30 -1e+30
        float16: tensor (3) 1.5 -2.25 3.125
        float32: tensor (4) 1 2.5 -3.7 0
        float64: tensor (3) 1.1 2.2 3.3
        int16: tensor (3) 1000 -2000 3000
        int32: tensor (3) 10 20 -30
        int64: tensor (4) 100 -200 300 0
        int8: tensor (4) 127 -128 0 50
        large_shape: tensor (100, 100) 1 0 0 0 0 0 0 0 0 0 0 0 …
        legacy_shared_storage: view1 (10) 1.0439506 -0.30740976 1.5986544 -0.5651704 0.29870486 -0.13434646 0.080931164 0.31132793 0.16987757 -0.3219365
        legacy_shared_storage: view2 (20) 0.5303624 1.2033722 0.5696937 0.47705507 0.1702025 1.0421095 -2.2504942 -0.4917466 -0.28358105 0.15156281 0.76488245 -1.2598394 …
        legacy_shared_storage: view3 (10) 0.15385364 1.8221241 0.62226576 -0.69102204 0.1079043 -0.2523866 -0.79428864 0.27608532 -0.014228245 -0.90012133
        legacy_uncloned_views: tensor1 (10) 10 11 12 13 14 15 16 17 18 19
        legacy_uncloned_views: tensor2 (10) 50 51 52 53 54 55 56 57 58 59
        legacy_with_offsets: tensor1 (10) 1 1.01 1.02 1.03 1.04 1.05 1.06 1.0699999 1.08 1.09
        legacy_with_offsets: tensor2 (5) 2 2.1 2.2 2.3 2.4
        legacy_with_offsets: tensor3 (5) 3 3.1 3.2 3.3 3.4
        mixed_types: float32 (2) 1 2
        mixed_types: int64 (2) 100 200
        mixed_types: bool (2) 1 0
        mixed_types: float64 (2) 1.1 2.2
        nested_dict: layer1/weight (2, 3) 0.01915081 0.105173014 0.96034014 -0.5671806 -0.5706474 1.5980384
        nested_dict: layer1/bias (2) 0.11148621 -0.0391967
        nested_dict: layer2/weight (4, 2) 1.4111539 -0.655611 0.8576057 -1.6270243 -1.3951387 -0.23872417 -0.5049904 -2.4751632
        nested_dict: layer2/bias (4) -0.93160295 -0.13348687 0.34148848 -0.07157138
        parameter: param (3, 3) 1.0249119 0.22231829 -0.7380724 -0.92582947 -1.3516519 1.0651454 0.19967511 -0.75789607 -0.8965915
        scalar: tensor () 42
        simple_legacy: weight (2, 3) -1.812955 1.1972814 -1.259396 -0.6564882 -1.4788749 2.0878928
        simple_legacy: bias (2) 1 1
        simple_legacy: running_mean (2) 0 0
        special_values: tensor (5) NaN Infinity -Infinity 0 1
        state_dict: weight (3, 4) 0.46790305 -0.20493191 -0.74090713 0.36183965 1.9198992 -0.22538756 -0.34169748 0.30401275 -0.6890136 -1.1267184 -0.28575504 -1.093511
        state_dict: bias (3) 1.1351023 0.7592452 -3.5944688
        state_dict: running_mean (3) 0 0 0
        state_dict: running_var (3) 1 1 1
        tensor_2d: tensor (3, 2) 1 2 3 4 5 6
        tensor_3d: tensor (2, 3, 4) 19.26915 14.872842 9.007172 -21.055214 6.7841845 -12.345449 -0.43067482 -16.046669 3.5585978 -6.86623 -4.933563 2.414878 …
        tensor_4d: tensor (2, 3, 2, 2) 0.034911666 0.3211031 1.5736002 -0.8454675 1.3123076 0.6871594 -1.0891753 -0.3552866 1.4451337 0.8564126 2.2180758 0.5231655 …
        uint8: tensor (4) 0 128 255 42
        """;

    public static TheoryData<string> Tensors => [.. LoadedByTorch.Split('\n')];

    [Theory]
    [MemberData(nameof(Tensors))]
    public void Read_RealFile_HasTheValuesThatTorchLoads(string expected)
    {
        var (name, keys, shape, values) = Parse(expected);
        using var file = TorchFile.Open(Fixtures.Path("torch-pt", $"{name}.pt"));

        var tensor = Find(file, keys);
        var read = new float[tensor.Length];
        file.Read(tensor, read);

        Assert.Equal(shape, tensor.Shape);
        Assert.Equal(values, read.Take(values.Length));
        Assert.Equal(values.Length, Math.Min(read.Length, 12));
    }

    [Fact]
    public void Read_LargeFile_HasEveryValue()
    {
        using var file = TorchFile.Open(Fixtures.Path("torch-pt", "large_shape.pt"));
        var values = new float[10_000];
        file.Read(Find(file, "tensor"), values);

        Assert.Equal((1, 2, 3), (values[0], values[50 * 100 + 50], values[^1]));
        Assert.Equal(3, values.Count(value => value != 0));
    }

    [Fact]
    public void Root_RealFile_HasTheValuesBesideTheTensors()
    {
        using var file = TorchFile.Open(Fixtures.Path("torch-pt", "checkpoint.pt"));
        var root = Assert.IsType<PickleDict>(file.Root);
        Assert.Equal(["model_state_dict", "optimizer_state_dict", "epoch", "loss"], root.Keys);
        Assert.Equal(42L, root["epoch"]);
        Assert.Equal(0.123, root["loss"]);
    }

    [Fact]
    public void Open_BrokenFile_IsRefusedInOneLine()
    {
        var path = Fixtures.Path("torch-pt", "broken.pt");
        var error = Assert.Throws<InvalidDataException>(() => TorchFile.Open(path));
        Assert.Equal($"{path}: not a file of torch.save: neither a zip archive nor the layout before that.", error.Message);
    }

    [Theory]
    [InlineData(0, 2, 3, 3, 1)] // as saved
    [InlineData(0, 3, 2, 1, 3)] // transposed
    [InlineData(1, 2, 2, 3, 1)] // a part of each row
    [InlineData(5, 2, 3, 0, 0)] // one value, expanded
    [InlineData(0, 1, 6, 99, 1)] // the stride of a dimension of one means nothing
    public void Read_StridedViews_FollowTheStrides(int offset, int rows, int cols, int rowStride, int colStride)
    {
        float[] storage = [10, 11, 12, 13, 14, 15];
        var pickle = new Pickle().Tensor("FloatStorage", "0", 6, offset, [rows, cols], [rowStride, colStride]).Stop();
        using var folder = new TempFolder();
        using var file = TorchFile.Open(folder.Write("a.pt", TorchZip.Save(pickle, storage)));

        var values = new float[rows * cols];
        file.Read((TorchTensor)file.Root!, values);

        for (var r = 0; r < rows; r++)
            for (var c = 0; c < cols; c++)
                Assert.Equal(storage[offset + r * rowStride + c * colStride], values[r * cols + c]);
    }

    [Fact]
    public void Read_StorageSharedByTwoTensors_IsReadByBoth()
    {
        var pickle = new Pickle().Dict().Mark()
            .Text("all").Tensor("FloatStorage", "0", 3, 0, [3], [1])
            .Text("last").Tensor("FloatStorage", "0", 3, 2, [], []).SetItems().Stop();
        using var folder = new TempFolder();
        using var file = TorchFile.Open(folder.Write("a.pt", TorchZip.Save(pickle, [1, 2, 3])));
        var last = new float[1];
        file.Read(Find(file, "last"), last);
        Assert.Equal(3, last[0]);
        Assert.Same(Find(file, "all").Storage, Find(file, "last").Storage);
    }

    [Fact]
    public void Read_Protocol4WithUntypedStorage_IsUnderstood()
    {
        // What torch.save(…, pickle_protocol=4) writes: a frame, short strings, STACK_GLOBAL, MEMOIZE; and a tensor that brings its own dtype.
        var pickle = new Pickle().Raw(0x80, 4, 0x95).Raw(new byte[8])
            .Raw(0x8c, 12).Raw("torch._utils"u8).Raw(0x94, 0x8c, 18).Raw("_rebuild_tensor_v3"u8).Raw(0x93)
            .Mark().Storage("UntypedStorage", "0", 8).Number(0).Numbers(2).Numbers(1).Raw(0x89).Dict()
            .Global("torch", "float32").Tuple().Op('R').Stop();
        using var folder = new TempFolder();
        using var file = TorchFile.Open(folder.Write("a.pt", TorchZip.Save(pickle, [1.5f, -2])));
        var values = new float[2];
        file.Read((TorchTensor)file.Root!, values);
        Assert.Equal([1.5f, -2], values);
    }

    [Fact]
    public void Read_AnotherLength_IsAnArgumentError()
    {
        using var file = TorchFile.Open(Fixtures.Path("torch-pt", "float32.pt"));
        Assert.Throws<ArgumentException>(() => file.Read(Find(file, "tensor"), new float[3]));
    }

    private static TorchTensor Find(TorchFile file, string keys) =>
        Assert.IsType<TorchTensor>(keys.Split('/').Aggregate(file.Root, (value, key) => Assert.IsType<PickleDict>(value)[key]));

    private static (string Name, string Keys, long[] Shape, float[] Values) Parse(string line)
    {
        var parts = line.Split([": ", " (", ")"], StringSplitOptions.TrimEntries);
        return (parts[0], parts[1],
            [.. Numbers(parts[2]).Select(number => long.Parse(number, CultureInfo.InvariantCulture))],
            [.. Numbers(parts[3]).Where(number => number != "…").Select(number => float.Parse(number, CultureInfo.InvariantCulture))]);
    }

    private static string[] Numbers(string text) => text.Split([' ', ','], StringSplitOptions.RemoveEmptyEntries);
}
