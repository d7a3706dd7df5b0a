#!/usr/bin/env bash
# Our encoder and vocabulary trainer against sentencepiece (spm_encode, spm_train) and Microsoft.ML.Tokenizers, in turns; ids are compared first.
# Usage: scripts/bench-tokenizer.sh MODEL [MB …]   MODEL: a sentencepiece .model, such as Llama 2's; MB: sizes of text, 3 100 400 by default.
# ROUNDS: 3 by default; figures are medians.
# Text: the sample generator's stories, one paragraph a line, grown to each size. sentencepiece is Debian's, or SPM_ENCODE and SPM_TRAIN.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export LC_ALL=C
model=${1:?usage: scripts/bench-tokenizer.sh MODEL [MB …]}; shift
(($#)) || set -- 3 100 400
rounds=${ROUNDS:-3}
spm_encode=${SPM_ENCODE:-spm_encode} spm_train=${SPM_TRAIN:-spm_train}
command -v "$spm_encode" "$spm_train" >/dev/null || { echo "bench-tokenizer.sh: needs sentencepiece (Debian and Ubuntu: apt-get install sentencepiece)" >&2; exit 1; }
for project in src/Cli scripts/TokenizerBenchmark; do dotnet build "$project" -c Release --nologo -v quiet -clp:NoSummary; done
bench=artifacts/bin/TokenizerBenchmark/release/LlamaFullstack.TokenizerBenchmark cli=artifacts/bin/Cli/release/llamafs
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT

# seconds COMMAND…: processor time, user and system
seconds() { local TIMEFORMAT='%U %S'; { time "$@" >/dev/null 2>&1; } 2>&1 | awk '{ printf "%.3f", $1 + $2 }'; }
median() { sort -n | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'; }

printf '%-6s %-60s %s\n' MB "encoding, one thread" "vocabulary of 4096, processor seconds"
for mb; do
    folder=$work/$mb dataset=$work/$mb/sample/stories
    "$cli" data sample --data_dir "$folder" --num_stories=$((mb * 1220)) >/dev/null 2>&1
    cat "$dataset"/*.json | sed -e 's/{"story":"/\n/g' -e 's/"}[],]*//g' -e 's/\\n/\n/g' -e 's/\\"/"/g' | grep -v '^\[*$' >"$work/text"
    bytes=$(stat -c %s "$work/text")

    head -c 3000000 "$work/text" >"$work/head"
    "$spm_encode" --model="$model" --output_format=id --input="$work/head" 2>/dev/null >"$work/theirs"
    "$bench" "$model" "$work/head" ids >"$work/ours"
    cmp -s "$work/ours" "$work/theirs" || { echo "bench-tokenizer.sh: the ids differ from spm_encode's" >&2; exit 1; }

    start=$(seconds "$spm_encode" --model="$model" --input=/dev/null)
    theirs=$(for ((round = 0; round < rounds; round++)); do seconds "$spm_encode" --model="$model" --output_format=id --input="$work/text"; echo; done | median)
    encoding="$("$bench" "$model" "$work/text" "$rounds"); spm_encode $(awk "BEGIN { printf \"%.2f\", $bytes / 1e6 / ($theirs - $start) }") MB/s"

    ours='' theirs=''
    for ((round = 0; round < rounds; round++)); do
        ours+=$(seconds "$cli" data train_vocab --vocab_size=4096 --dataset=sample --data_dir "$folder")$'\n'
        theirs+=$(seconds "$spm_train" --input="$work/text" --model_prefix="$work/spm" --model_type=bpe --vocab_size=4096 --character_coverage=1.0 \
            --split_digits=true --allow_whitespace_only_pieces=true --byte_fallback=true --normalization_rule_name=identity --num_threads=2 --hard_vocab_limit=false)$'\n'
    done
    printf '%-6s %s | ours %s, spm_train %s\n' "$mb" "$encoding" "$(sed '/^$/d' <<<"$ours" | median)" "$(sed '/^$/d' <<<"$theirs" | median)"
    cmp -s "$work/spm.vocab" "$folder/sample/tok4096.vocab" && echo "       the vocabularies are identical" ||
        echo "       the vocabularies differ: $("$spm_train" --version 2>&1 | head -n 1) (identical from 0.1.99 on)"
    rm -rf "$folder"
done
