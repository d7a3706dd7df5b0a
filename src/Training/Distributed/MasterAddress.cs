using System.Globalization;
using System.Net;
using System.Net.Sockets;

namespace LlamaFullstack.Training.Distributed;

/// <summary>Where the ranks that torchrun started meet once, to share a few bytes of rank 0's: MASTER_ADDR and MASTER_PORT.</summary>
/// <param name="Host">Rank 0's machine.</param>
/// <param name="Port">A port that rank 0 listens on.</param>
internal sealed record MasterAddress(string Host, int Port)
{
    private static readonly TimeSpan Patience = TimeSpan.FromMinutes(2);

    /// <summary>As the environment says.</summary>
    /// <remarks>torchrun itself may listen on MASTER_PORT, and says so in TORCHELASTIC_USE_AGENT_STORE; then the next port is used.</remarks>
    /// <exception cref="ArgumentException">A variable is missing.</exception>
    public static MasterAddress FromEnvironment()
    {
        var host = Environment.GetEnvironmentVariable("MASTER_ADDR");
        if (string.IsNullOrEmpty(host) || !int.TryParse(Environment.GetEnvironmentVariable("MASTER_PORT"), NumberStyles.None, CultureInfo.InvariantCulture, out var port))
            throw new ArgumentException("MASTER_ADDR and MASTER_PORT: must be set, as torchrun does, where WORLD_SIZE is above 1.");
        var isTaken = string.Equals(Environment.GetEnvironmentVariable("TORCHELASTIC_USE_AGENT_STORE"), "True", StringComparison.OrdinalIgnoreCase);
        return new MasterAddress(host, isTaken ? port + 1 : port);
    }

    /// <summary>Gives every rank rank 0's bytes.</summary>
    /// <exception cref="IOException">Not all ranks came within two minutes.</exception>
    public void Share(Span<byte> bytes, int rank, int size)
    {
        var until = DateTime.UtcNow + Patience;
        try
        {
            if (rank == 0)
                Serve(bytes, size - 1, until);
            else
                Ask(bytes, until);
        }
        catch (SocketException e)
        {
            throw new IOException($"MASTER_ADDR={Host}, port {Port}: the {size} processes did not find each other: {e.Message}", e);
        }
    }

    private void Serve(ReadOnlySpan<byte> bytes, int others, DateTime until)
    {
        using var listener = new TcpListener(IPAddress.IPv6Any, Port);
        listener.Server.DualMode = true;
        listener.Start();
        for (; others > 0; others--)
        {
            while (!listener.Pending())
            {
                if (DateTime.UtcNow > until)
                    throw new SocketException((int)SocketError.TimedOut);
                Thread.Sleep(10);
            }
            using var other = listener.AcceptTcpClient();
            other.GetStream().Write(bytes);
        }
    }

    private void Ask(Span<byte> bytes, DateTime until)
    {
        while (true)
        {
            try
            {
                using var client = new TcpClient(Host, Port);
                client.GetStream().ReadExactly(bytes);
                return;
            }
            catch (SocketException) when (DateTime.UtcNow < until)
            {
                Thread.Sleep(100); // rank 0 does not listen yet
            }
        }
    }
}
