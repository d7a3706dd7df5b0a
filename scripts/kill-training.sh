#!/usr/bin/env bash
# Kills a training run again and again, at random moments, half of them while it writes a checkpoint, and resumes it. After each kill the checkpoint
# must be whole and no older than before; at the end its weights and moments must be, byte for byte, those of a run that was never stopped.
# Usage: scripts/kill-training.sh [KILLS] [LLAMAFS]     Default: 200 kills of ./llamafs's program; about 6 seconds each
set -euo pipefail
source "$(dirname "$0")/help.sh"
kills=${1:-200} program=$(realpath "${2:-$(dirname "${BASH_SOURCE[0]}")/../artifacts/llamafs/llamafs}")
folder=$(mktemp -d)
cd "$folder"
{ "$program" data sample --num_stories=500 && "$program" data train_vocab --dataset=sample --vocab_size=320 &&
    "$program" data pretokenize --dataset=sample --vocab_size=320; } >/dev/null 2>&1

# A checkpoint of 70 MB after each update, so that writing one takes a while. A constant rate, so that max_iters decides the end alone.
train=("$program" train --dataset=sample --vocab_size=320 --max_seq_len=64 --dim=288 --n_layers=6 --n_heads=6 --dropout=0.1
    --batch_size=1 --gradient_accumulation_steps=1 --device=cpu --learning_rate=1e-3 --decay_lr=False --warmup_iters=5
    --eval_iters=1 --eval_interval=1 --always_save_checkpoint --keep=2 --log_interval=1)
# A safetensors file is the length of its header in 8 bytes, the header, in which the options are, and the tensors.
tensors() { tail -c "+$(($(od -An -t u8 -N 8 "$1/ckpt.safetensors") + 9))" "$1/ckpt.safetensors"; }
updates() { grep -ao '"iter_num":"[0-9]*"' "$1/ckpt.safetensors" | head -1 | tr -dc 0-9; }
fail() { echo "kill-training.sh: $1; see $folder" >&2; exit 1; }

"${train[@]}" --out_dir=killed --max_iters=1 >/dev/null 2>&1
last=$(updates killed) writing=0
for ((kill = 1; kill <= kills; kill++)); do
    "${train[@]}" --out_dir=killed --init_from=resume --max_iters=1000000 >log 2>error &
    run=$!
    first=$((RANDOM % 10 + 1)) # updates that are made for sure, however busy the machine is
    until (($(grep -c '| loss' log || true) >= first)) || ! kill -0 $run 2>/dev/null; do sleep 0.02; done
    if ((kill % 2)); then
        sleep "0.$(printf %03d $((RANDOM % 200)))"
    else
        until compgen -G 'killed/ckpt*.tmp' >/dev/null || ! kill -0 $run 2>/dev/null; do :; done
        sleep "0.0$(printf %02d $((RANDOM % 60)))"
    fi
    kill -KILL $run || fail "kill $kill: the run had ended by itself: $(tail -1 error)"
    { wait $run || true; } 2>/dev/null
    [[ -z $(compgen -G 'killed/ckpt*.tmp') ]] || writing=$((writing + 1))
    "$program" inspect killed/ckpt.safetensors >inspected 2>&1 || fail "kill $kill: the checkpoint is torn: $(tail -1 inspected)"
    now=$(updates killed)
    ((now >= last)) || fail "kill $kill: the checkpoint went back from update $last to $now"
    last=$now
    ((kill % 20)) || echo "$kill kills, at update $last, $writing left a checkpoint half written" >&2
done

end=$((last + 5))
"${train[@]}" --out_dir=killed --init_from=resume --max_iters=$end >/dev/null 2>&1
"${train[@]}" --out_dir=whole --max_iters=$end >/dev/null 2>&1
cmp <(tensors killed) <(tensors whole) || fail "after $end updates the run that was killed differs from one that never was"
echo "$kills kills, $writing of them while a checkpoint was being written: no checkpoint lost or torn, and after $end updates the same tensors as in a run never stopped."
rm -rf "$folder"
