#!/usr/bin/env bash
# Measures llamafs beside other engines on the same shapes, in turns, and prints tables of medians and ratios.
# Usage: scripts/bench.sh [SHAPE …]      SHAPE: 260K, 15M, 42M, 110M or 1.1B. Default: 15M 42M 110M
# What is measured is up to the environment; nothing is needed but llamafs:
#   RUN_C=PATH        llama2.c's run: fp32        RUNQ_C=PATH       its runq: int8
#   LLAMA_BENCH=PATH  llama.cpp's llama-bench: F32, Q8_0 and Q4_0 beside fp32, int8 and int4
#   NODE_LLAMA_CPP=FOLDER  where node-llama-cpp is installed, or is to be: llama.cpp's prebuilt CPU binary, no build step (npm).
#                     One thread only, since Node's own thread competes for the second.
#   TOKENIZER=PATH    a tokenizer.bin of 32,000 pieces, which run and runq want to see; for 260K, TOKENIZER_260K
#   THREADS="1 2"     ROUNDS=3     TOKENS=64     TYPES="fp32 int8 int4"
# All weights are random: speed depends on the shape alone. Close other programs: a busy machine gives other ratios.
set -euo pipefail
source "$(dirname "$0")/help.sh"
cd "$(dirname "${BASH_SOURCE[0]}")/.."

shapes=("${@:-}") && [[ ${shapes[0]} ]] || shapes=(15M 42M 110M)
read -ra threads <<<"${THREADS:-1 2}"
read -ra types <<<"${TYPES:-fp32 int8 int4}"
rounds=${ROUNDS:-3} tokens=${TOKENS:-64}
declare -A numbers=([260K]=64,172,5,8,4,512,512 [15M]=288,768,6,6,6,32000,256 [42M]=512,1376,8,8,8,32000,1024
    [110M]=768,2048,12,12,12,32000,1024 [1.1B]=2048,5632,22,32,4,32000,2048)
declare -A ggml=([fp32]=F32 [int8]=Q8_0 [int4]=Q4_0) gguf_dtype=([fp32]=fp32 [int8]=q8_0 [int4]=q4_0)

program=artifacts/llamafs/llamafs
[[ -x $program ]] || ./llamafs --help >/dev/null # the launcher builds it
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

if [[ ${NODE_LLAMA_CPP:-} && ! -d $NODE_LLAMA_CPP/node_modules/node-llama-cpp ]]; then
    mkdir -p "$NODE_LLAMA_CPP"
    (cd "$NODE_LLAMA_CPP" && npm install --silent --no-audit --no-fund --ignore-scripts --omit=optional node-llama-cpp @node-llama-cpp/linux-x64) >&2
fi

median() { sort -g | awk '{ v[NR] = $1 } END { if (NR) print v[int((NR + 1) / 2)] }'; }
note() { [[ $2 ]] && echo "$2" >>"$folder/$1"; return 0; } # one figure of one engine
field() { sed -n "s/.*\"$1\":\([0-9.eE+-]*\).*/\1/p"; }

make_model() { # shape type path
    "$program" bench --shape "$1" --type "$2" --keep "$3" --repeats 1 --tokens 1 --prompt 1 >/dev/null
}
measure_ours() { # model threads
    local line
    line=$("$program" bench "$1" --threads "$2" --repeats 1 --tokens "$tokens" --json)
    note ours.decode "$(field decode_tokens_per_second <<<"$line")"
    note ours.prompt "$(field prompt_tokens_per_second <<<"$line")"
    note ours.share "$(field share_of_bandwidth <<<"$line")"
}
measure_c() { # program model threads tokenizer
    local speed
    speed=$(OMP_NUM_THREADS=$3 "$1" "$2" -z "$4" -t 0 -n "$tokens" 2>&1 >/dev/null | sed -n 's/achieved tok\/s: //p')
    note c.decode "$speed"
}
measure_node() { # shape type
    local lines
    lines=$(node scripts/bench-llama-cpp.mjs "$NODE_LLAMA_CPP" "${numbers[$1]}" "${ggml[$2]}" 1 1 2>/dev/null) || return 0
    note cpp.decode "$(sed -n 's/decode //p' <<<"$lines")"
    note cpp.prompt "$(sed -n 's/prompt //p' <<<"$lines")"
}
measure_llama_bench() { # gguf threads
    local rows
    rows=$("$LLAMA_BENCH" -m "$1" -t "$2" -p 256 -n "$tokens" -r 1 -o csv 2>/dev/null) || return 0
    note cpp.prompt "$(awk -F'","' 'NR == 2 { print $(NF - 1) }' <<<"$rows" | tr -d '"')"
    note cpp.decode "$(awk -F'","' 'NR == 3 { print $(NF - 1) }' <<<"$rows" | tr -d '"')"
}

show() { # name: its median, or a dash
    [[ -s $folder/$1 ]] && median <"$folder/$1" || echo -
}
ratio() { awk -v a="$1" -v b="$2" 'BEGIN { if (a == "-" || b == "-" || b == 0) print "–"; else printf "%.2f", a / b }'; }
whole() { awk -v a="$1" 'BEGIN { if (a == "-") print "–"; else printf (a < 100 ? "%.1f" : "%.0f"), a }'; }

echo "$(date -u +%F), $(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo 2>/dev/null | head -1), $(nproc) cores; medians of $rounds rounds in turns, tok/s"
echo
echo "| shape | threads | decode llamafs | of the read bandwidth | run.c / runq.c | ratio | llama.cpp | ratio | prompt llamafs | llama.cpp | ratio |"
echo "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |"
for shape in "${shapes[@]}"; do
    for type in "${types[@]}"; do
        model=$folder/$shape-$type.bin gguf=$folder/$shape-$type.gguf
        tokenizer=${TOKENIZER:-} peer=
        [[ $shape == 260K ]] && tokenizer=${TOKENIZER_260K:-}
        make_model "$shape" fp32 "$folder/$shape.bin"
        [[ ${LLAMA_BENCH:-} && $tokenizer ]] &&
            "$program" export "$gguf" --checkpoint "$folder/$shape.bin" --tokenizer "$tokenizer" --dtype "${gguf_dtype[$type]}" >/dev/null 2>&1
        [[ $type == fp32 ]] && mv "$folder/$shape.bin" "$model" || { rm "$folder/$shape.bin" && make_model "$shape" "$type" "$model"; }
        [[ $type == fp32 ]] && peer=${RUN_C:-}
        [[ $type == int8 ]] && peer=${RUNQ_C:-}
        for count in "${threads[@]}"; do
            rm -f "$folder"/*.decode "$folder"/*.prompt "$folder"/*.share
            for ((round = 0; round < rounds; round++)); do
                measure_ours "$model" "$count"
                [[ $peer && $tokenizer ]] && measure_c "$peer" "$model" "$count" "$tokenizer"
                [[ ${NODE_LLAMA_CPP:-} && $count == 1 ]] && measure_node "$shape" "$type"
                [[ -e $gguf ]] && measure_llama_bench "$gguf" "$count"
            done
            ours=$(show ours.decode) c=$(show c.decode) cpp=$(show cpp.decode) prompt=$(show ours.prompt) cppPrompt=$(show cpp.prompt)
            share=$(show ours.share | awk '{ printf "%.0f %%", 100 * $1 }')
            echo "| $shape $type | $count | $(whole "$ours") | $share | $(whole "$c") | $(ratio "$ours" "$c") | $(whole "$cpp") | $(ratio "$ours" "$cpp") |" \
                "$(whole "$prompt") | $(whole "$cppPrompt") | $(ratio "$prompt" "$cppPrompt") |"
        done
        rm -f "$model" "$gguf"
    done
done
