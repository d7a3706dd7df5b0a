#!/usr/bin/env bash
# Lists what llamafs-run's compiled kernels call, and how many of their instructions put a vector on the stack. A call in a loop, or a register too few, costs a
# kernel half of its speed, and neither the source nor a test tells: .NET puts no more inline once a method has grown too large, and keeps copies of what is
# loaded twice.
# Usage: scripts/kernel-code.sh [LEVEL …]      LEVEL: v4 (AVX-512), v3 (AVX2) or v2 (SSE4.2); none needs to be this processor's. Default: all
# To be read, not to be empty: what is called once for some rows costs nothing. Needs what publish-run.sh needs on x86-64 Linux.
set -euo pipefail
source "$(dirname "$0")/help.sh"
cd "$(dirname "${BASH_SOURCE[0]}")/.."

levels=("${@:-}") && [[ ${levels[0]} ]] || levels=(v4 v3 v2)
scripts/publish-run.sh any artifacts/kernel-code >&2
for level in "${levels[@]}"; do
    objdump --disassemble --no-show-raw-insn "artifacts/ahead-of-time/obj/Run/release/native/$level.o" |
        sed -e 's/LlamaFullstack_Inference_LlamaFullstack_Inference_Kernels_//g' -e 's/S_P_CoreLib_System_//g' -e 's/Runtime_Intrinsics_//g' |
        awk -v level="$level" '
            /^[0-9a-f]+ <.*>:$/ { name = $2; gsub(/[<>:]*$|^</, "", name) }
            name !~ /(Kernels[0-9_]|Rows[0-9]|Tiles|TileProducts|Transposition)/ || name ~ /^(Scalar|Strict|KernelSets)/ { next }
            /call/ { called = $0; sub(/.*call +[^<]*</, "", called); sub(/>?$/, "", called); print level, name, "calls", called }
            /v?mov(up|ap|dq)[sdau0-9]* +%[xyz]mm[0-9]+,-?0x[0-9a-f]+\(%r[bs]p\)/ { print level, name, "puts a vector on the stack" }'
done | sort | uniq -c | sort -k2,2r -k1,1nr
