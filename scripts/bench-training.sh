#!/usr/bin/env bash
# The speed of training: llamafs, a plain TorchSharp model, and PyTorch with llama2.c's model.py where python3 has torch, in turns.
# Usage: scripts/bench-training.sh [15M|260K] [ROUNDS]     LLAMA2C=folder of llama2.c; TCMALLOC=libtcmalloc_minimal.so to preload into PyTorch too
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
preset=${1:-260K} rounds=${2:-3}
case $preset in
  15M) steps=8 vocab=32000 batch=8 time=256 ;;
  260K) steps=60 vocab=512 batch=2 time=512 ;;
  *) echo "usage: $0 [15M|260K] [ROUNDS]" >&2; exit 2 ;;
esac
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
dotnet build "$root/src/Cli" -c Release -v quiet --nologo
dotnet build "$root/scripts/bench-training/PlainTorchSharp.csproj" -c Release -v quiet --nologo
llamafs=$root/artifacts/bin/Cli/release/llamafs
plain=$root/artifacts/bin/PlainTorchSharp/release/LlamaFullstack.PlainTorchSharp

# Tokens mean nothing here, only their number.
mkdir -p "$work/data/bench/tok$vocab"
for shard in 00 01; do
  head -c 800000 /dev/urandom | od -An -v -tu2 -w2 | awk -v v="$vocab" '{ t = $1 % v; printf "\\%03o\\%03o", t % 256, int(t / 256) }' > "$work/octal"
  printf '%b' "$(sed 's/\\/\\0/g' "$work/octal")" > "$work/data/bench/tok$vocab/data$shard.bin"
done

ours() { # DTYPE
  "$llamafs" train --preset="$preset" --data_dir="$work/data" --dataset=bench --vocab_source=custom --vocab_size="$vocab" --out_dir="$work/out" --max_iters="$steps" \
    --eval_interval=1000000 --eval_iters=1 --log_interval=1 --warmup_iters=2 --lr_decay_iters="$steps" --batch_size="$batch" --gradient_accumulation_steps=1 --dtype="$1" --device=cpu 2>&1 |
    sed -nE 's/^[0-9]+ \| loss .* ([0-9.]+)ms.*/\1/p' | tail -n +3 | sort -n |
    awk -v t=$((batch * time)) -v d="$1" '{ a[NR] = $1 } END { printf "%.0f tok/s (llamafs, %s)\n", t * 1000 / a[int((NR + 1) / 2)], d }'
}

python=$(for p in /usr/bin/python3 python3; do "$p" -c 'import torch' 2>/dev/null && { echo "$p"; break; }; done || true)
for ((round = 1; round <= rounds; round++)); do
  ours float32
  ours bfloat16
  "$plain" "$preset" "$steps"
  if [[ -n $python && -f ${LLAMA2C:-}/model.py ]]; then
    "$python" "$root/scripts/bench-training/llama2c.py" "$LLAMA2C" "$preset" "$steps" 2>/dev/null
    if [[ -n ${TCMALLOC:-} ]]; then
      echo "$(LD_PRELOAD=$TCMALLOC "$python" "$root/scripts/bench-training/llama2c.py" "$LLAMA2C" "$preset" "$steps" 2>/dev/null), tcmalloc"
    fi
  fi
done
[[ -n $python && -f ${LLAMA2C:-}/model.py ]] || echo "PyTorch is left out: it needs python3 with torch, and LLAMA2C=the folder of llama2.c" >&2
