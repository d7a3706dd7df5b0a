#!/usr/bin/env bash
# Notes which functions a run of llamafs-run reaches, in src/Run/CodeOrder.txt: there its compiler and scripts/publish-run.sh read what is to lie together.
# A function that is no longer there does no harm, and one that is missing lies elsewhere: to be run again when much has changed.
# Usage: scripts/order-run.sh MODEL TOKENIZER [MODEL TOKENIZER …]
#   MODEL  such as a float32 and an int8 one; each reads a prompt and writes some text, on each kind of processor that this one can be
# Needs x86-64 Linux, gdb, and what publish-run.sh needs.
set -euo pipefail
source "$(dirname "$0")/help.sh"
(($# >= 2 && $# % 2 == 0)) || { sed -n '4,6s/^# //p' "${BASH_SOURCE[0]}" >&2; exit 2; }
command -v gdb >/dev/null || { echo "order-run.sh: needs gdb" >&2; exit 1; }
models=()
for file; do models+=("$(realpath "$file")"); done
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# A breakpoint at each function, each hit once.
mkdir -p artifacts
cat >artifacts/reached.py <<'EOF'
import gdb, os, subprocess

program = gdb.current_progspace().filename
gdb.execute("set breakpoint always-inserted on")
gdb.execute("handle SIG34 nostop noprint pass") # by which the collector stops threads
gdb.execute("starti")
names = {}
for line in subprocess.run(["nm", "--defined-only", program], capture_output=True, text=True, check=True).stdout.splitlines():
    address, kind, name = line.split(None, 2)
    if kind in "tTW":
        names.setdefault(int(address, 16), []).append(name)
for address in names:
    gdb.Breakpoint(f"*{address}", temporary=True)
with open(os.environ["REACHED"], "a") as reached:
    try:
        while True:
            gdb.execute("continue", to_string=True)
            reached.writelines(f"{name}\n" for name in names.get(gdb.selected_frame().pc(), []))
    except gdb.error:
        pass # it has ended
EOF

export REACHED=artifacts/reached.txt
rm -f "$REACHED"
for level in v4 v3 v2; do
    dotnet publish src/Run --configuration Release --use-current-runtime --artifacts-path artifacts/ahead-of-time --output artifacts/order-run \
        -p:AheadOfTime=true -p:IlcInstructionSet="x86-64-$level" -p:DebugType=none -p:StripSymbols=false --nologo --verbosity quiet
    for ((i = 0; i < ${#models[@]}; i += 2)); do
        run=(gdb -q -batch -x artifacts/reached.py --args artifacts/order-run/llamafs-run "${models[i]}" -z "${models[i + 1]}" -t 0.8 -n 20 --threads 2)
        "${run[@]}" >artifacts/reached.log
        "${run[@]}" -i "Once upon a time there was" | cat >artifacts/reached.log # standard output is another kind of stream there
    done
done
awk '!seen[$0]++' "$REACHED" >src/Run/CodeOrder.txt
wc -l src/Run/CodeOrder.txt
