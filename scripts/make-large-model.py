#!/usr/bin/env python3
"""Writes a model of Llama 2's shape with random bfloat16 weights, to try export on what is larger than memory.

Usage: scripts/make-large-model.py hf|meta FOLDER [LAYERS] [SHARDS]      32 layers (7B, 13.5 GB) in 2 files by default; delete it afterwards
"""
import json, os, random, struct, sys, zipfile

DIM, HIDDEN, VOCAB, HEADS = 4096, 11008, 32000, 32
if len(sys.argv) < 3:
    sys.exit(__doc__)
kind, folder = sys.argv[1:3]
layers = int(sys.argv[3]) if len(sys.argv) > 3 else 32
shards = int(sys.argv[4]) if len(sys.argv) > 4 else 2

# 16 MB of values of magnitude 2^-7 to 2^-5, either sign, which every tensor repeats from the start.
block = bytearray(random.Random(1).randbytes(16 << 20))
block[1::2] = bytes(block[1::2]).translate(bytes(0x3C | (i & 0x80) for i in range(256)))


def write_values(file, count):
    left = 2 * count
    while left > 0:
        left -= file.write(memoryview(block)[: min(left, len(block))])


def matrices():
    """Meta's name, Hugging Face's name, rows, columns, and the dimension that Meta cuts: 0 rows, 1 columns, None for a norm."""
    yield "tok_embeddings", "model.embed_tokens", VOCAB, DIM, 1
    for i in range(layers):
        ours, theirs = f"layers.{i}.", f"model.layers.{i}."
        for name, other in [("wq", "q_proj"), ("wk", "k_proj"), ("wv", "v_proj"), ("wo", "o_proj")]:
            yield f"{ours}attention.{name}", f"{theirs}self_attn.{other}", DIM, DIM, int(name == "wo")
        yield f"{ours}feed_forward.w1", f"{theirs}mlp.gate_proj", HIDDEN, DIM, 0
        yield f"{ours}feed_forward.w2", f"{theirs}mlp.down_proj", DIM, HIDDEN, 1
        yield f"{ours}feed_forward.w3", f"{theirs}mlp.up_proj", HIDDEN, DIM, 0
        yield f"{ours}attention_norm", f"{theirs}input_layernorm", None, DIM, None
        yield f"{ours}ffn_norm", f"{theirs}post_attention_layernorm", None, DIM, None
    yield "norm", "model.norm", None, DIM, None
    yield "output", "lm_head", VOCAB, DIM, 0


def write_json(name, value):
    with open(os.path.join(folder, name), "w") as file:
        json.dump(value, file)


def write_hugging_face():
    tensors = [(theirs + ".weight", [cols] if rows is None else [rows, cols]) for _, theirs, rows, cols, _ in matrices()]
    weight_map = {}
    for shard in range(shards):
        name = f"model-{shard + 1:05}-of-{shards:05}.safetensors"
        part, header, offset = tensors[shard * len(tensors) // shards : (shard + 1) * len(tensors) // shards], {}, 0
        for tensor, shape in part:
            length = 2 * shape[0] * (shape[1] if len(shape) > 1 else 1)
            header[tensor] = {"dtype": "BF16", "shape": shape, "data_offsets": [offset, offset + length]}
            weight_map[tensor], offset = name, offset + length
        text = json.dumps(header).encode()
        with open(os.path.join(folder, name), "wb") as file:
            file.write(struct.pack("<Q", len(text)) + text)
            for entry in header.values():
                write_values(file, (entry["data_offsets"][1] - entry["data_offsets"][0]) // 2)
    write_json("model.safetensors.index.json", {"weight_map": weight_map})
    write_json("config.json", {"model_type": "llama", "hidden_size": DIM, "intermediate_size": HIDDEN, "num_hidden_layers": layers, "rms_norm_eps": 1e-5,
                               "num_attention_heads": HEADS, "num_key_value_heads": HEADS, "vocab_size": VOCAB, "max_position_embeddings": 2048})


def write_meta():
    def text(value):
        return b"X" + struct.pack("<i", len(value)) + value.encode()

    def numbers(values):
        return b"(" + b"".join(b"J" + struct.pack("<i", value) for value in values) + b"t"

    for shard in range(shards):
        pickle, counts = b"\x80\x02}(", []
        for name, _, rows, cols, cut in matrices():
            shape = [cols] if rows is None else [rows // shards, cols] if cut == 0 else [rows, cols // shards]
            count = shape[0] * (shape[1] if len(shape) > 1 else 1)
            pickle += text(name + ".weight") + b"ctorch._utils\n_rebuild_tensor_v2\n((" + text("storage") + b"ctorch\nBFloat16Storage\n" + text(str(len(counts)))
            pickle += text("cpu") + b"J" + struct.pack("<i", count) + b"tQ" + b"J\0\0\0\0" + numbers(shape) + numbers([1] if len(shape) == 1 else [shape[1], 1])
            pickle += b"\x89ccollections\nOrderedDict\n)RtR"
            counts.append(count)
        with zipfile.ZipFile(os.path.join(folder, f"consolidated.{shard:02}.pth"), "w") as archive:
            archive.writestr("consolidated/data.pkl", pickle + b"u.")
            for key, count in enumerate(counts):
                with archive.open(f"consolidated/data/{key}", "w", force_zip64=True) as file:
                    write_values(file, count)
    write_json("params.json", {"dim": DIM, "multiple_of": 256, "n_heads": HEADS, "n_layers": layers, "norm_eps": 1e-05, "vocab_size": -1})


os.makedirs(folder, exist_ok=True)
{"hf": write_hugging_face, "meta": write_meta}[kind]()
