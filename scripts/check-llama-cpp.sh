#!/usr/bin/env bash
# Our GGUF exports in a real client: llama.cpp, from npm's node-llama-cpp, must load them and tell the text that our engine tells.
# Usage: scripts/check-llama-cpp.sh MODEL.bin [TOKENIZER.bin] …   pairs; a tokenizer is looked for beside its model where none is named.
# Skips, with the reason and exit code 0, where node or the package cannot be had.
set -euo pipefail
source "$(dirname "$0")/help.sh"
cd "$(dirname "${BASH_SOURCE[0]}")/.."

count=100     # tokens: float types must agree on all of their text
agree_8=16    # characters at least where activations are rounded too, by each engine in its own way; a wrong layout agrees on none
agree_4=8
package=3.22.1

skip() { echo "check-llama-cpp.sh: skipped: $1" >&2; exit 0; }
[[ $(uname -sm) == "Linux x86_64" ]] || skip "set up for Linux on x64 alone"
command -v node >/dev/null && command -v npm >/dev/null || skip "needs node and npm"
(($(node --version | tr -dc '0-9.' | cut -d. -f1) >= 20)) || skip "needs node 20, this is $(node --version)"

client=$PWD/artifacts/llama-cpp
if [[ ! -d $client/node_modules/@node-llama-cpp/linux-x64 ]]; then
    mkdir -p "$client"
    timeout 300 npm install --prefix "$client" --silent --no-audit --no-fund --ignore-scripts --omit=optional \
        "node-llama-cpp@$package" "@node-llama-cpp/linux-x64@$package" >/dev/null 2>&1 || skip "npm could not install node-llama-cpp $package"
fi
cp scripts/check-llama-cpp.mjs "$client/"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

same_characters() { node -e 'const [a, b] = process.argv.slice(1); let i = 0; while (i < a.length && a[i] === b[i]) i++; console.log(i)' "$1" "$2"; }

failed=0
while (($#)); do
    model=$1; shift
    tokenizer=()
    if (($#)) && [[ $1 == *tok* ]]; then tokenizer=(-z "$1"); shift; fi
    for dtype in fp32 fp16 q8_0 q4_0; do
        gguf=$work/model.gguf
        ours='' theirs=''
        ./llamafs export "$gguf" --checkpoint "$model" --dtype "$dtype" "${tokenizer[@]}" >/dev/null 2>"$work/error" &&
            ours=$(./llamafs run "$gguf" -t 0 -n $count 2>"$work/error") &&
            theirs=$(timeout 120 node "$client/check-llama-cpp.mjs" "$gguf" $count 2>"$work/error") || cat "$work/error" >&2
        same=$(same_characters "$ours" "$theirs")
        case $dtype in q8_0) needed=$agree_8 ;; q4_0) needed=$agree_4 ;; *) needed=${#ours} ;; esac
        verdict=ok
        if [[ -z $ours ]] || ((same < needed)) || { [[ $dtype == fp* ]] && [[ $ours != "$theirs" ]]; }; then verdict=FAILED; failed=1; fi
        echo "$verdict: $model as GGUF $dtype: $same of ${#ours} characters the same in llama.cpp"
    done
done
exit $failed
