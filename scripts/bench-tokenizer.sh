#!/usr/bin/env bash
# Encoding, vocabulary training and pretokenising beside sentencepiece, Microsoft.ML.Tokenizers and llama2.c's loop, in turns. Results are compared first.
# Usage: scripts/bench-tokenizer.sh [prepare] [encode] [train] [pretokenize]    all by default; writes Markdown tables of medians
#   prepare makes the texts and what needs no clock, and is done in any case
#   FIXTURES=FOLDER     real stories and Llama 2's tokenizer; ../shared/fixtures by default. Without it: generated stories and a vocabulary of them
#   MB="3 100 400"      sizes of the text       ROUNDS=3      PEER_MB=20  what the slower encoders get of it, from the beginning
#   SPM_ENCODE, SPM_TRAIN=PATH   sentencepiece's programs; those of the PATH by default (Debian: apt-get install sentencepiece)
#   EXACT_SPM_TRAIN=PATH   a spm_train of 0.1.99 or later, whose vocabulary must be ours; Debian 12's 0.1.97 trains other pieces
#   PYTHON=PATH         a Python with sentencepiece and numpy, for llama2.c's loop; python3 by default
#   WORK=FOLDER         keeps the texts there, for the next time
#   MEASURE=COMMAND     every measured command runs under it: a lock, on a machine that is shared
# Close other programs: a busy machine gives other figures, and often other ratios.
set -euo pipefail
source "$(dirname "$0")/help.sh"
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export LC_ALL=C
parts=" ${*:-prepare encode train pretokenize} "
read -ra sizes <<<"${MB:-3 100 400}"
read -ra measure <<<"${MEASURE:-}"
rounds=${ROUNDS:-3} peer_mb=${PEER_MB:-20} fixtures=${FIXTURES:-../shared/fixtures} python=${PYTHON:-python3}
spm_encode=${SPM_ENCODE:-spm_encode} spm_train=${SPM_TRAIN:-spm_train}
fail() { echo "bench-tokenizer.sh: $*" >&2; exit 1; }
command -v "$spm_encode" "$spm_train" >/dev/null || fail "needs sentencepiece (Debian and Ubuntu: apt-get install sentencepiece)"
[[ -x /usr/bin/time ]] || fail "needs GNU time (apt-get install time)"

if [[ ${WORK:-} ]]; then work=$WORK; mkdir -p "$work"; else work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT; fi
./llamafs --version >/dev/null # builds it as it is used, what runs at start compiled ahead
dotnet build scripts/TokenizerBenchmark -c Release --nologo -v quiet >"$work/build" || fail "$(grep -m 1 error "$work/build")"
llamafs=$PWD/artifacts/llamafs/llamafs bench=$PWD/artifacts/bin/TokenizerBenchmark/release/LlamaFullstack.TokenizerBenchmark

# took NAME COMMAND…: notes seconds, processor seconds and peak megabytes of a command; NAME.log has what it said.
took() {
    local name=$1; shift
    "${measure[@]}" /usr/bin/time -o "$work/time" -f '%e %U %S %M' "$@" >"$work/$name.log" 2>&1 || fail "$* failed: $(tail -n 1 "$work/$name.log")"
    awk '{ printf "%.2f %.2f %.0f\n", $1, $2 + $3, $4 / 1000 }' "$work/time" >>"$work/$name"
}
median() { cut -d ' ' -f "$2" "$work/$1" | sort -g | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'; }
ratio() { awk -v a="$1" -v b="$2" 'BEGIN { printf (a < 10 * b ? "%.1f" : "%.0f"), a / b }'; }

# A folder of so many megabytes of stories: the fixtures' real ones and generated ones.
stories() {
    local folder=$work/stories-$1
    [[ ! -e $folder.txt ]] || return 0
    "$llamafs" data sample --data_dir "$work/sample" --num_stories=$(($1 * 1180 - 1800)) 2>/dev/null
    mv "$work/sample/sample/stories" "$folder"
    for shard in "$fixtures"/tinystories/TinyStories_all_data/*.json; do [[ ! -e $shard ]] || cp "$shard" "$folder/real-$(basename "$shard")"; done # 1.6 MB
    "$bench" stories "$folder" >"$folder.part"
    mv "$folder.part" "$folder.txt"
}
text() { # KIND MB → the path of a text
    [[ $1 != stories ]] || stories "$2"
    [[ -e $work/$1-$2.txt ]] || "$bench" "$1" "$2" >"$work/$1-$2.txt"
    echo "$work/$1-$2.txt"
}
vocab_size=2000 varied_mb=40 varied_pieces=2048
[[ ! -d $fixtures/tinystories ]] || vocab_size=4096
vocabulary() { # one of the smallest stories → the path of its .model
    stories "${sizes[0]}"
    [[ -d $work/vocab ]] || "$llamafs" data train_vocab --data_dir "$work/vocab" --dataset="$work/stories-${sizes[0]}" --vocab_size=$vocab_size 2>/dev/null
    echo "$work/vocab/stories-${sizes[0]}/tok$vocab_size.model"
}

spm_options=(--model_type=bpe --character_coverage=1.0 --split_digits=true --allow_whitespace_only_pieces=true --byte_fallback=true
    --normalization_rule_name=identity --self_test_sample_size=0 --num_threads=2)
prepare() {
    local kind size text
    for size in "${sizes[@]}"; do
        stories "$size"
        ((size > 100)) || text hostile "$size" >/dev/null
    done
    model=$fixtures/llama2-tokenizer/tokenizer.model name="Llama 2's 32,000 pieces"
    [[ -e $model ]] || { model=$(vocabulary) && name="$vocab_size pieces of stories"; }
    for kind in stories hostile; do
        text=$(text $kind "${sizes[0]}")
        [[ -e $text.ids ]] || "$spm_encode" --model="$model" --output_format=id --input="$text" >"$text.ids" 2>/dev/null
        "$bench" ids "$model" "$text" | cmp -s - "$text.ids" || fail "$kind: the ids differ from spm_encode's"
    done
    [[ ${EXACT_SPM_TRAIN:-} ]] || return 0
    for size in "${sizes[@]}"; do exact stories "$size" $vocab_size; done
    exact varied "$varied_mb" "$varied_pieces"
}
exact() { # KIND MB VOCAB_SIZE: the vocabulary that ours must be
    [[ -e $work/$1-$2.vocab ]] || "$EXACT_SPM_TRAIN" --input="$(text "$1" "$2")" --model_prefix="$work/$1-$2" --vocab_size="$3" "${spm_options[@]}" >/dev/null 2>&1
}

encode() {
    local kind size text
    took start "$spm_encode" --model="$model" --input=/dev/null
    echo "Encoding, one thread, MB/s, $name; ids compared with spm_encode's on ${sizes[0]} MB of each text. The slower two read the first $peer_mb MB."
    echo
    echo "| text | MB | llamafs | spm_encode | ratio | Microsoft.ML.Tokenizers | ratio |"
    echo "| --- | --- | --- | --- | --- | --- | --- |"
    for kind in stories hostile; do
        for size in "${sizes[@]}"; do
            [[ $kind == stories ]] || ((size <= 100)) || continue
            text=$(text $kind "$size")
            head -c $((peer_mb * 1000000)) "$text" >"$work/head"
            rm -f "$work/spm_encode" "$work/net.log" "$work/net"
            for ((round = 0; round < rounds; round++)); do took spm_encode "$spm_encode" --model="$model" --output_format=id --input="$work/head"; done
            took net "$bench" encode "$model" "$text" "$rounds" "$peer_mb"
            read -r ours microsoft _ <"$work/net.log"
            spm=$(awk -v bytes="$(stat -c %s "$work/head")" -v s="$(median spm_encode 2)" -v start="$(median start 2)" 'BEGIN { printf "%.2f", bytes / 1e6 / (s - start) }')
            echo "| $kind | $size | $ours | $spm | $(ratio "$ours" "$spm") | $microsoft | $(ratio "$ours" "$microsoft") |"
        done
    done
}

train_row() { # KIND MB VOCAB_SIZE DATASET OPTION…
    local kind=$1 size=$2 pieces=$3 dataset=$4 text peer same; shift 4
    text=$(text "$kind" "$size")
    rm -f "$work/ours" "$work/theirs"
    for ((round = 0; round < rounds; round++)); do
        took ours "$llamafs" data train_vocab --data_dir "$work/trained" --dataset="$dataset" --vocab_size="$pieces" --threads=2 "$@"
        took theirs "$spm_train" --input="$text" --model_prefix="$work/spm" --vocab_size="$pieces" "${spm_options[@]}"
    done
    [[ ${EXACT_SPM_TRAIN:-} ]] && peer=$work/$kind-$size.vocab || peer=$work/spm.vocab
    same=$(cmp -s "$work/trained/$kind-$size/tok$pieces.vocab" "$peer" && echo identical || echo differ)
    echo "| $kind | $size | $pieces | $(median ours 1) | $(median theirs 1) | $(ratio "$(median theirs 1)" "$(median ours 1)") | $(median ours 3) | $(median theirs 3) | $same |"
}
train() {
    echo "Vocabulary training, two threads, seconds from start to end and MB of memory at the peak, start-up included; llamafs reads the .json shards, or the .txt, spm_train ($("$spm_train" --version 2>&1 | head -n 1)) the text."
    echo
    echo "| text | MB | pieces | llamafs s | spm_train s | ratio | llamafs MB | spm_train MB | pieces and scores${EXACT_SPM_TRAIN:+, beside $("$EXACT_SPM_TRAIN" --version)} |"
    echo "| --- | --- | --- | --- | --- | --- | --- | --- | --- |"
    for size in "${sizes[@]}"; do
        stories "$size"
        train_row stories "$size" $vocab_size "$work/stories-$size"
    done
    train_row varied $varied_mb $varied_pieces "$(text varied $varied_mb)" --separator=line
}

# What llama2.c's tinystories.py does with a shard.
loop='
import json, sys
import numpy
from sentencepiece import SentencePieceProcessor
model, shard, target = sys.argv[1:]
encoder = SentencePieceProcessor(model_file=model)
ids = []
for story in json.load(open(shard)):
    ids += [encoder.bos_id()] + encoder.encode(story["story"].strip())
numpy.array(ids, dtype=numpy.uint16).tofile(target)
'
pretokenize() {
    "$python" -c 'import numpy, sentencepiece' 2>/dev/null || { echo "Pretokenising: not measured, $python has no sentencepiece or numpy."; return; }
    local size=100 folder model first
    stories $size
    model=$(vocabulary)
    first=$(ls "$work/stories-$size" | head -n 1)
    rm -f "$work/ours" "$work/theirs"
    for ((round = 0; round < rounds; round++)); do
        rm -rf "$work/tokens" && mkdir -p "$work/tokens/stories-$size" && cp "$model" "$work/tokens/stories-$size/"
        took ours "$llamafs" data pretokenize --data_dir "$work/tokens" --dataset="$work/stories-$size" --validation=first --vocab_size=$vocab_size
        took theirs "$python" -c "$loop" "$model" "$work/stories-$size/$first" "$work/theirs.bin"
        cmp -s "$work/theirs.bin" "$work/tokens/stories-$size/tok$vocab_size/${first%.json}.bin" || fail "$first: the tokens differ from those of llama2.c's loop"
    done
    whole=$(du -bc "$work/stories-$size"/*.json | tail -n 1 | cut -f 1) part=$(stat -c %s "$work/stories-$size/$first")
    awk -v ours="$(median ours 1)" -v theirs="$(median theirs 1)" -v memory="$(median ours 3)" -v whole="$whole" -v part="$part" 'BEGIN {
        printf "Pretokenising, two threads, start-up included: llamafs %.2f s for %.0f MB of JSON, %.0f MB/s, %d MB of memory. ", ours, whole / 1e6, whole / 1e6 / ours, memory
        loop = whole / part * theirs / 2
        printf "llama2.c%ss loop %.2f s for one shard of %.1f MB on one core, so %.0f s for all on two: ratio %.0f. The shard is byte-identical.\n", "\047", theirs, part / 1e6, loop, loop / ours }'
}

echo "$(date -u +%F), $(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1), $(nproc) cores; medians of $rounds rounds in turns."
prepare
for part in encode train pretokenize; do
    [[ $parts != *" $part "* ]] || { echo; "$part"; }
done
