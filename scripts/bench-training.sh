#!/usr/bin/env bash
# The speed of training on a processor: llamafs, a plain TorchSharp model, and PyTorch with llama2.c's model.py where python3 has torch, in turns.
# Usage: scripts/bench-training.sh [15M|260K] [ROUNDS] [DTYPE…]     LLAMA2C=folder of llama2.c; TCMALLOC=libtcmalloc_minimal.so to preload into PyTorch too
# Prints for each run the median of its updates in tok/s, the peak of memory and the page faults an update.
set -euo pipefail
source "$(dirname "$0")/help.sh"
root=$(cd "$(dirname "$0")/.." && pwd)
preset=${1:-260K} rounds=${2:-3}
shift $(($# < 2 ? $# : 2))
dtypes=("${@:-float32}")
case $preset in
  15M) steps=16 others=8 vocab=32000 batch=8 time=256 ;;
  260K) steps=200 others=60 vocab=512 batch=8 time=256 ;; # llamafs takes two seconds until all of it is compiled
  *) echo "usage: $0 [15M|260K] [ROUNDS] [DTYPE…]" >&2; exit 2 ;;
esac
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
if [[ -z ${BUILT:-} ]]; then
  dotnet build "$root/src/Cli" -c Release -v quiet --nologo >&2
  dotnet build "$root/scripts/bench-training/PlainTorchSharp.csproj" -c Release -v quiet --nologo >&2
fi
llamafs=$root/artifacts/bin/Cli/release/llamafs
plain=$root/artifacts/bin/PlainTorchSharp/release/LlamaFullstack.PlainTorchSharp
"$plain" tokens "$work/data/bench/tok$vocab" "$vocab"

ours() { # DTYPE
  local line stat status times=() faults=() peak=0
  exec 3< <(exec "$llamafs" train --preset="$preset" --data_dir="$work/data" --dataset=bench --vocab_source=custom --vocab_size="$vocab" --max_seq_len="$time" \
    --out_dir="$work/out" --max_iters="$steps" --eval_interval=1000000 --eval_iters=1 --log_interval=1 --warmup_iters=2 --lr_decay_iters="$steps" \
    --batch_size="$batch" --gradient_accumulation_steps=1 --dtype="$1" --device=cpu 2>&1)
  local pid=$!
  while read -r line <&3; do
    [[ $line =~ ^[0-9]+\ \|\ loss.*\ ([0-9.]+)ms ]] || continue
    times+=("${BASH_REMATCH[1]}")
    read -ra stat < "/proc/$pid/stat" && faults+=("${stat[9]}")
    mapfile -t status < "/proc/$pid/status" && [[ ${status[*]} =~ VmHWM:[[:space:]]*([0-9]+) ]] && peak=${BASH_REMATCH[1]} # no process of its own: it would take a core
  done 2>/dev/null
  exec 3<&-
  local half=$((steps / 2))
  printf '%s\n' "${times[@]:1}" | sort -n | awk -v t=$((batch * time)) -v d="$1" -v m=$((peak / 1024)) -v f=$(((faults[-1] - faults[half]) / (${#faults[@]} - 1 - half))) \
    '{ a[NR] = $1 } END { printf "%.0f tok/s, %d MB, %d page faults a step (llamafs, %s)\n", t * 1000 / a[int((NR + 1) / 2)], m, f, d }'
}

python=$(for p in /usr/bin/python3 python3; do "$p" -c 'import torch' 2>/dev/null && { echo "$p"; break; }; done || true)
pytorch() { "$python" "$root/scripts/bench-training/llama2c.py" "$LLAMA2C" "$preset" $(((others + 1) / 2)) 2>/dev/null; }
echo "$preset, vocabulary $vocab, batch $batch x $time:"
for ((round = 1; round <= rounds; round++)); do
  for dtype in "${dtypes[@]}"; do
    ours "$dtype"
  done
  "$plain" "$preset" "$others"
  if [[ -n $python && -f ${LLAMA2C:-}/model.py ]]; then
    pytorch
    if [[ -n ${TCMALLOC:-} ]]; then
      echo "$(LD_PRELOAD=$TCMALLOC pytorch), tcmalloc"
    fi
  fi
done
[[ -n $python && -f ${LLAMA2C:-}/model.py ]] || echo "PyTorch is left out: it needs python3 with torch, and LLAMA2C=the folder of llama2.c" >&2
