#!/usr/bin/env bash
# That a ckpt.pt written here is one for others: PyTorch's torch.load(weights_only=True) reads it and has our weights in it; and, where llama2.c's
# sources are given, its export.py makes our version 0, 1 and 2 files from it, byte for byte, and its sample.py tells our engine's text.
# Usage: scripts/check-pytorch.sh MODEL [LLAMA2C_FOLDER [TOKENIZER.model]]   MODEL: anything that llamafs export reads, with the classifier shared
# sample.py needs the model's sentencepiece .model, and python3 sentencepiece, tqdm and requests (Debian: apt install python3-sentencepiece python3-tqdm python3-requests).
# Needs a python3 with torch (Debian: apt install python3-torch); says so and succeeds where there is none.
set -euo pipefail
source "$(dirname "$0")/help.sh"
model=$(realpath "$1")
llama2c=${2:+$(realpath "$2")}
tokenizer=${3:+$(realpath "$3")}
cd "$(dirname "${BASH_SOURCE[0]}")/.."

python=
for candidate in python3 /usr/bin/python3; do
    if "$candidate" -c 'import torch' 2>/dev/null; then python=$candidate; break; fi
done
[[ -n $python ]] || { echo "check-pytorch.sh: skipped: no python3 with torch here"; exit 0; }

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
root=$PWD
export_model() { "$root/llamafs" export "$@" >/dev/null 2>"$work/log" || { cat "$work/log" >&2; exit 1; }; }
export_model "$work/ckpt.pt" --checkpoint "$model"
export_model "$work/half.pt" --checkpoint "$model" --dtype fp16
for version in 0 1 2; do export_model "$work/v$version.bin" --checkpoint "$model" --version "$version"; done

"$python" - "$work" <<'PYTHON'
import struct, sys, torch
folder = sys.argv[1]
checkpoint = torch.load(f"{folder}/ckpt.pt", weights_only=True)
half = torch.load(f"{folder}/half.pt", weights_only=True)
# Version 1: 256 bytes of header, then attention_norm[L], ffn_norm[L], norm, the embedding, wq[L], …
with open(f"{folder}/v1.bin", "rb") as file:
    content = file.read()
dim, hidden_dim, layers = struct.unpack_from("<3i", content, 8)
names = [f"layers.{i}.attention_norm.weight" for i in range(layers)] + [f"layers.{i}.ffn_norm.weight" for i in range(layers)]
names += ["norm.weight", "tok_embeddings.weight"]
for matrix in ["attention.wq", "attention.wk", "attention.wv", "attention.wo", "feed_forward.w1", "feed_forward.w2", "feed_forward.w3"]:
    names += [f"layers.{i}.{matrix}.weight" for i in range(layers)]
offset = 256
for name in names:
    weights = checkpoint["model"][name]
    ours = torch.frombuffer(bytearray(content[offset:offset + 4 * weights.numel()]), dtype=torch.float32).view(weights.shape)
    assert torch.equal(weights, ours), f"{name}: not the weights of the model file"
    assert torch.equal(half["model"][name], ours.half()), f"{name}: not its float16 weights"
    offset += 4 * weights.numel()
assert offset == len(content), "the model file has more tensors"
assert checkpoint["model"]["output.weight"].data_ptr() == checkpoint["model"]["tok_embeddings.weight"].data_ptr(), "the classifier is not shared"
print(f"PyTorch {torch.__version__} reads ckpt.pt with weights_only: {len(names)} tensors are the model file's, float32 and float16")
PYTHON

[[ -n $llama2c ]] || exit 0
read -r dim hidden_dim heads positions < <(od -An -v -w28 -t d4 -N 28 "$work/v0.bin" | awk '{ print $1, $2, $4, $7 }')
for version in 0 1 2; do
    if ((version == 2)); then
        group=64
        while ((dim % group)); do group=$((group / 2)); done
        # It looks at dim alone, and its files are broken where a row of w2 is not whole groups (its issues 443, 532, 533); ours are not.
        ((hidden_dim % group == 0)) || { echo "llama2.c's export.py --version 2: skipped: its groups of $group do not divide hidden_dim $hidden_dim"; continue; }
    fi
    (cd "$llama2c" && "$python" export.py "$work/theirs.bin" --version "$version" --checkpoint "$work/ckpt.pt" >"$work/log" 2>&1) || { tail -n 3 "$work/log" >&2; exit 1; }
    length=$(stat -c %s "$work/theirs.bin")
    [[ $(stat -c %s "$work/v$version.bin") == "$length" ]] || { echo "check-pytorch.sh: version $version has another length" >&2; exit 1; }
    note=
    if ((version == 0)); then
        # The tables of cosines at its end, which no reader looks at, depend on how PyTorch was built (docs/LOG.md, 2026-11-24).
        length=$((length - 4 * positions * dim / heads)) note=" up to the tables of RoPE at its end"
    fi
    cmp --bytes="$length" "$work/v$version.bin" "$work/theirs.bin"
    echo "llama2.c's export.py --version $version of it is our file, byte for byte$note"
done

[[ -n $tokenizer ]] || exit 0
"$python" -c 'import sentencepiece, tqdm, requests' 2>/dev/null || { echo "check-pytorch.sh: sample.py skipped: python3 lacks sentencepiece, tqdm or requests"; exit 0; }
count=100
(cd "$llama2c" && "$python" sample.py --checkpoint="$work/ckpt.pt" --tokenizer="$tokenizer" --temperature=0.0 --max_new_tokens=$count --device=cpu) >"$work/sample" 2>"$work/log" ||
    { tail -n 3 "$work/log" >&2; exit 1; }
theirs=$(grep -v -e '^Overriding: ' -e '^WARNING: ' -e '^---------------$' "$work/sample")
ours=$("$root/llamafs" run "$work/v0.bin" -z "$tokenizer" -t 0 -n $count 2>"$work/log") || { cat "$work/log" >&2; exit 1; }
# sample.py goes on after the end of a story, run stops there.
[[ -n $ours && $theirs == "$ours"* ]] || { printf 'check-pytorch.sh: sample.py tells\n%s\nand llamafs run\n%s\n' "$theirs" "$ours" >&2; exit 1; }
echo "llama2.c's sample.py tells our engine's text from it, ${#ours} characters"
