# One training step of llama2.c's model.py in PyTorch, timed: what scripts/bench-training.sh compares with.
# Usage: python3 llama2c.py LLAMA2C_FOLDER PRESET STEPS     prints the median tokens a second, the peak memory and the page faults a step
import contextlib, os, resource, statistics, sys, time
sys.path.insert(0, sys.argv[1])
import torch
from model import ModelArgs, Transformer

shape = {
    "15M": (dict(dim=288, n_layers=6, n_heads=6, n_kv_heads=6, vocab_size=32000, multiple_of=32, max_seq_len=256), 8),
    "260K": (dict(dim=64, n_layers=5, n_heads=8, n_kv_heads=4, vocab_size=512, multiple_of=4, max_seq_len=256), 8),
}
args, batch = shape[sys.argv[2]]
steps = int(sys.argv[3])
torch.set_num_threads(os.cpu_count())
torch.manual_seed(1337)
with contextlib.redirect_stdout(sys.stderr):
    model = Transformer(ModelArgs(**args))
    optimizer = model.configure_optimizers(0.1, 5e-4, (0.9, 0.95), "cpu")
times = []
for step in range(steps):
    if step == steps // 2:
        faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    x = torch.randint(3, args["vocab_size"], (batch, args["max_seq_len"] + 1))
    start = time.perf_counter()
    model(x[:, :-1].contiguous(), x[:, 1:].contiguous())
    model.last_loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    times.append(time.perf_counter() - start)
usage = resource.getrusage(resource.RUSAGE_SELF)
print(f"{batch * args['max_seq_len'] / statistics.median(times[1:]):.0f} tok/s, {usage.ru_maxrss // 1024} MB, "
      f"{(usage.ru_minflt - faults) // (steps - steps // 2)} page faults a step (PyTorch {torch.__version__.split('+')[0]}, {torch.get_num_threads()} threads)")
