#!/usr/bin/env bash
# How llamafs's decoding speed changes with the model's size, the position in the context, the number of threads and a busy neighbour.
# Usage: scripts/bench-scaling.sh
#   RUN_C=PATH        llama2.c's run, for the positions         LLAMA_BENCH=PATH  llama.cpp's llama-bench, likewise
#   TOKENIZER=PATH    a tokenizer.bin of 32,000 pieces, which both need
# Medians of ROUNDS (3) in turns, tok/s, random weights. Close other programs.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

rounds=${ROUNDS:-3} tokens=32 cores=$(nproc)
program=artifacts/bin/Cli/release/llamafs
[[ -x $program ]] || ./llamafs --help >/dev/null # the launcher builds it
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

median() { sort -g | awk '{ v[NR] = $1 } END { if (NR) printf (v[int((NR + 1) / 2)] < 100 ? "%.1f" : "%.0f"), v[int((NR + 1) / 2)]; else print "–" }'; }
note() { [[ $2 ]] && echo "$2" >>"$folder/$1"; return 0; }
show() { [[ -s $folder/$1 ]] && median <"$folder/$1" || echo –; }
make_model() { "$program" bench --shape "$1" --type "$2" --keep "$3" --repeats 1 --tokens 1 --prompt 1 >/dev/null; }
decode() { # model threads [position]
    "$program" bench "$1" --threads "$2" --position "${3:-0}" --prompt 1 --repeats 1 --tokens "$tokens" --json |
        sed -n 's/.*"decode_tokens_per_second":\([0-9.eE+-]*\).*/\1/p'
}
seconds_c() { # threads tokens: what run takes for them
    OMP_NUM_THREADS=$1 "$RUN_C" "$folder/model.bin" -z "$TOKENIZER" -t 0 -n "$2" 2>&1 >/dev/null | sed -n 's/achieved tok\/s: //p' | awk -v n="$2" '{ print (n - 1) / $1 }'
}
decode_c() { # threads position: the difference of two runs
    awk -v n="$tokens" -v a="$(seconds_c "$1" $(($2 + tokens)))" -v b="$( (($2)) && seconds_c "$1" "$2" || echo 0)" 'BEGIN { if (a > b) print n / (a - b) }'
}
decode_cpp() { # threads position
    "$LLAMA_BENCH" -m "$folder/model.gguf" -t "$1" -p 0 -n "$tokens" -d "$2" -r 1 -o csv 2>/dev/null | awk -F'","' 'END { gsub(/"/, "", $(NF - 1)); print $(NF - 1) }'
}

echo "$(date -u +%F), $(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo 2>/dev/null | head -1), $cores cores; medians of $rounds rounds in turns, tok/s"
printf '\n## Size and threads\n\nThe last column: one other process per core but one that never rests.\n\n'
echo "| shape | 1 thread | $cores threads | $((2 * cores)) threads | $((4 * cores)) threads | $cores threads, busy machine |"
echo "| --- | --- | --- | --- | --- | --- |"
for model in "260K fp32" "15M fp32" "42M fp32" "110M fp32" "15M int8" "42M int8" "110M int8" "1.1B int8" "110M int4" "1.1B int4"; do
    read -r shape type <<<"$model"
    make_model "$shape" "$type" "$folder/model.bin"
    rm -f "$folder"/t.*
    for ((round = 0; round < rounds; round++)); do
        for count in 1 "$cores" $((2 * cores)) $((4 * cores)); do note "t.$count" "$(decode "$folder/model.bin" "$count")"; done
        busy=()
        for ((other = 1; other < cores; other++)); do
            while :; do :; done &
            busy+=($!)
        done
        note t.busy "$(decode "$folder/model.bin" "$cores")"
        kill "${busy[@]}"
        wait "${busy[@]}" 2>/dev/null || true
    done
    echo "| $model | $(show t.1) | $(show "t.$cores") | $(show "t.$((2 * cores))") | $(show "t.$((4 * cores))") | $(show t.busy) |"
done

printf '\n## Position\n\n| model | threads | position | llamafs | run.c | llama.cpp |\n| --- | --- | --- | --- | --- | --- |\n'
for model in "42M fp32 0 256 512 900" "1.1B int8 0 500 1000 2000"; do
    read -r shape type positions <<<"$model"
    rm -f "$folder"/model.*
    make_model "$shape" fp32 "$folder/model.bin"
    [[ ${LLAMA_BENCH:-} ]] && "$program" export "$folder/model.gguf" --checkpoint "$folder/model.bin" --tokenizer "$TOKENIZER" --dtype "$([[ $type == fp32 ]] && echo fp32 || echo q8_0)" >/dev/null 2>&1
    [[ $type == fp32 ]] || make_model "$shape" "$type" "$folder/model.bin"
    for count in 1 "$cores"; do
        for position in $positions; do
            rm -f "$folder"/p.*
            for ((round = 0; round < rounds; round++)); do
                note p.ours "$(decode "$folder/model.bin" "$count" "$position")"
                [[ ! ${RUN_C:-} || $type != fp32 ]] || note p.c "$(decode_c "$count" "$position")"
                [[ ! ${LLAMA_BENCH:-} ]] || note p.cpp "$(decode_cpp "$count" "$position")"
            done
            echo "| $shape $type | $count | $position | $(show p.ours) | $(show p.c) | $(show p.cpp) |"
        done
    done
done
