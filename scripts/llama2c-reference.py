# What llama2.c's model.py and PyTorch make of a tiny model in 20 updates: the figures in tests/Training.Tests/Llama2cReferenceTests.cs.
# Weights and tokens follow from formulas, so that both sides start from the same without a file. Usage: python3 llama2c-reference.py LLAMA2C_FOLDER
import sys
sys.path.insert(0, sys.argv[1])
import numpy as np
import torch
from model import ModelArgs, Transformer

torch.set_num_threads(1)
model = Transformer(ModelArgs(dim=16, n_layers=2, n_heads=4, n_kv_heads=2, vocab_size=32, multiple_of=8, max_seq_len=12, dropout=0.0))
with torch.no_grad():
    for number, (name, parameter) in enumerate(sorted(dict(model.named_parameters()).items())):
        values = 0.2 * np.sin(1 + number + 0.37 * np.arange(parameter.numel())) + (1.0 if parameter.dim() == 1 else 0.0)
        parameter.copy_(torch.from_numpy(values.astype(np.float32)).view(parameter.shape))
optimizer = model.configure_optimizers(0.1, 5e-3, (0.9, 0.95), "cpu")
tokens = torch.tensor([[(7 * row + 5 * column + column * column) % 32 for column in range(13)] for row in range(2)])
x, y = tokens[:, :-1].contiguous(), tokens[:, 1:].contiguous()
with torch.no_grad():
    print("logits", ", ".join(f"{v:.7g}f" for v in model(x[:1])[0, -1, :8].tolist()))
losses = []
for _ in range(20):
    model(x, y)
    losses.append(model.last_loss.item())
    model.last_loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
print("losses", ", ".join(f"{v:.7g}" for v in losses))
