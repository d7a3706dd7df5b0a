#!/usr/bin/env bash
# How llamafs's decoding speed changes with the model's size, the number of threads, a busy neighbour and the position in the context.
# Usage: scripts/bench-scaling.sh
#   RUN_C=PATH        llama2.c's run, for the positions         LLAMA_BENCH=PATH  llama.cpp's llama-bench, likewise
#   TOKENIZER=PATH    a tokenizer.bin of 32,000 pieces, which both need
# Medians of ROUNDS (3) in turns, tok/s, random weights; about five minutes. Close other programs.
set -euo pipefail
source "$(dirname "$0")/help.sh"
cd "$(dirname "${BASH_SOURCE[0]}")/.."

rounds=${ROUNDS:-3} tokens=32 cores=$(nproc)
counts="1 $cores $((2 * cores)) $((4 * cores))"
program=artifacts/llamafs/llamafs
[[ -x $program ]] || ./llamafs --help >/dev/null # the launcher builds it
folder=$(mktemp -d)
busy=()
rest() { ((${#busy[@]} == 0)) || { kill "${busy[@]}" && wait "${busy[@]}" 2>/dev/null || true; }; busy=(); }
trap 'rest; rm -rf "$folder"' EXIT

median() { sort -g | awk '{ v[NR] = $1 } END { if (NR) printf (v[int((NR + 1) / 2)] < 100 ? "%.1f" : "%.0f"), v[int((NR + 1) / 2)]; else print "–" }'; }
show() { [[ -s $folder/$1 ]] && median <"$folder/$1" || echo –; }
make_model() { "$program" bench --shape "$1" --type "$2" --keep "$folder/model.bin" --repeats 1 --tokens 1 --prompt 1 >/dev/null; }
decode() { # threads,… [position]: a line for each number of threads
    "$program" bench "$folder/model.bin" --threads "${1// /,}" --position "${2:-0}" --prompt 1 --repeats 1 --tokens "$tokens" --json |
        sed -n 's/.*"decode_tokens_per_second":\([0-9.eE+-]*\).*/\1/p'
}
decode_c() { # position: the difference of two runs
    seconds() { OMP_NUM_THREADS=$cores "$RUN_C" "$folder/model.bin" -z "$TOKENIZER" -t 0 -n "$1" 2>&1 >/dev/null | sed -n 's/achieved tok\/s: //p' | awk -v n="$1" '{ print (n - 1) / $1 }'; }
    awk -v n="$tokens" -v a="$(seconds $(($1 + tokens)))" -v b="$( (($1)) && seconds "$1" || echo 0)" 'BEGIN { if (a > b) print n / (a - b) }'
}
decode_cpp() { # position
    "$LLAMA_BENCH" -m "$folder/model.gguf" -t "$cores" -p 0 -n "$tokens" -d "$1" -r 1 -o csv 2>/dev/null | awk -F'","' 'END { gsub(/"/, "", $(NF - 1)); print $(NF - 1) }'
}

echo "$(date -u +%F), $(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo 2>/dev/null | head -1), $cores cores; medians of $rounds rounds in turns, tok/s"
printf '\n## Size and threads\n\nThe last two columns: other programs that never rest, one on all cores but one, and one on every core.\n\n'
echo "| shape | 1 thread | $cores threads | $((2 * cores)) threads | $((4 * cores)) threads | $cores threads, one core free | $cores threads, none free |"
echo "| --- | --- | --- | --- | --- | --- | --- |"
for model in "260K fp32" "15M fp32" "42M fp32" "110M fp32" "260K int8" "15M int8" "42M int8" "110M int8" "1.1B int8" "15M int4" "110M int4" "1.1B int4"; do
    read -r shape type <<<"$model"
    make_model "$shape" "$type"
    rm -f "$folder"/t.*
    for ((round = 0; round < rounds; round++)); do
        decode "$counts" >"$folder/line"
        for count in $counts; do read -r speed && echo "$speed" >>"$folder/t.$count"; done <"$folder/line"
        for ((others = 1; others <= cores; others++)); do
            while :; do :; done &
            busy+=($!)
            ((others < cores - 1)) || decode "$cores" >>"$folder/t.busy$others"
        done
        rest
    done
    row="| $model |"
    for count in $counts busy$((cores - 1)) "busy$cores"; do row+=" $(show "t.$count") |"; done
    echo "$row"
done

printf '\n## Position\n\nOn %s threads.\n\n| model | position | llamafs | run.c | llama.cpp |\n| --- | --- | --- | --- | --- |\n' "$cores"
for model in "42M fp32 0 450 900" "1.1B int8 0 1000 2000"; do
    read -r shape type positions <<<"$model"
    make_model "$shape" "$type"
    peers=$([[ $type == fp32 ]] && echo yes || true) # a GGUF file of the other would need its float32 first
    [[ ! $peers || ! ${LLAMA_BENCH:-} ]] || "$program" export "$folder/model.gguf" --checkpoint "$folder/model.bin" --tokenizer "$TOKENIZER" --dtype fp32 >/dev/null 2>&1
    for position in $positions; do
        rm -f "$folder"/p.*
        for ((round = 0; round < rounds; round++)); do
            decode "$cores" "$position" >>"$folder/p.ours"
            [[ ! $peers || ! ${RUN_C:-} ]] || decode_c "$position" >>"$folder/p.c"
            [[ ! $peers || ! ${LLAMA_BENCH:-} ]] || decode_cpp "$position" >>"$folder/p.cpp"
        done
        echo "| $shape $type | $position | $(show p.ours) | $(show p.c) | $(show p.cpp) |"
    done
done
