#!/usr/bin/env bash
# Compiles llamafs-run ahead of time: one file of a few MB that runs models where no .NET is installed, and starts at once.
# Usage: scripts/publish-run.sh [INSTRUCTIONS] [FOLDER]
#   INSTRUCTIONS  any (default): for every processor of this kind. On x86-64 Linux the file then holds the program three times, for SSE4.2, AVX2 and
#                 AVX-512, and chooses when it starts: 9 MB, for other systems AVX2 alone. Or one program of 3.8 MB: native, for this processor, or for a
#                 level such as x86-64-v3 (AVX2: anything since about 2015); it refuses to start on less.
#   FOLDER        where the program goes. Default: artifacts/llamafs-run
# Needs clang or gcc with binutils (for the file with three programs gcc 12, clang 18 or newer), on Linux the C library's static form, since it goes in too,
# and downloads the compiler (NuGet: Microsoft.DotNet.ILCompiler, about 100 MB) the first time.
set -euo pipefail
source "$(dirname "$0")/help.sh"
cd "$(dirname "${BASH_SOURCE[0]}")/.."

instructions=${1:-any} folder=${2:-artifacts/llamafs-run}
command -v dotnet >/dev/null || { echo "publish-run.sh: needs the .NET 10 SDK: https://dotnet.microsoft.com/download/dotnet/10.0" >&2; exit 1; }
cc=$(command -v clang || command -v gcc) || { echo "publish-run.sh: needs clang or gcc, to link" >&2; exit 1; } # in the order in which .NET looks for a linker
if [[ $(uname -s) == Linux && $("$cc" -print-file-name=libc.a) != /* ]]; then
    echo "publish-run.sh: needs the C library's static form, libc.a (Debian: libc6-dev, Fedora: glibc-static)" >&2; exit 1
fi

levels=()
case $instructions:$(uname -sm) in
    "any:Linux x86_64") instructions=x86-64-v2 levels=(v4 v3 v2) ;;
    any:*x86_64) instructions=x86-64-v3 ;;
    any:*) instructions= ;; # Arm64: NEON is everywhere, and what is beyond it .NET asks for when it runs
esac

# Older compilers do not know the levels of x86-64: better to hear it now than after minutes.
if ((${#levels[@]} > 0)); then
    cc=
    for compiler in clang gcc; do
        if "$compiler" -S -o /dev/null src/Run/ChooseLevel.c 2>/dev/null; then cc=$compiler; break; fi
    done
    [[ -n $cc ]] || { echo "publish-run.sh: src/Run/ChooseLevel.c needs gcc 12, clang 18 or newer on the PATH; or ask for one level, such as x86-64-v3" >&2; exit 1; }
fi

# A build tree of its own: nothing of the usual build changes.
built=artifacts/ahead-of-time/llamafs-run
dotnet publish src/Run --configuration Release --use-current-runtime --artifacts-path artifacts/ahead-of-time --output "$built" \
    -p:AheadOfTime=true ${instructions:+-p:IlcInstructionSet="$instructions"} -p:DebugType=none -p:StripSymbols=true \
    --nologo --verbosity quiet

# The same program for each level, with a runtime of its own and all names hidden but its main's; then all in one file.
# .NET finds a program's code by the bounds of three sections, so these have names of their own, too; and so have the constructors of its runtime,
# which main calls for the chosen level alone.
link_levels() {
    local native=artifacts/ahead-of-time/obj/Run/release/native parts=() level section names libraries flags compiler
    mapfile -t libraries <"$native/libraries.txt"
    read -rd '' -a flags <"$native/flags.txt" || true # several on a line
    compiler=$(<"$native/compiler.txt")
    # The runtime's functions that are reached: the linker puts what is called hot in front.
    sed -e 's/.*/--rename-section .text.&=.text.hot.&/' -e '1i --rename-section .text=.text.hot' src/Run/CodeOrder.txt >"$native/hot.rsp"
    for level in "${levels[@]}"; do
        sed -e "s#^-o:.*#-o:$native/$level.o#" -e "s#^--instruction-set:.*#--instruction-set:x86-64-$level#" "$native/llamafs-run.ilc.rsp" >"$native/$level.rsp"
        "$compiler" "@$native/$level.rsp"
        ld -r --force-group-allocation -o "$native/part-$level.o" "$native/$level.o" "${libraries[@]}"
        names=(--redefine-sym "main=main_$level" --keep-global-symbol "main_$level" --rename-section ".init_array=constructors_$level")
        for section in __managedcode __modules __unbox; do
            names+=(--rename-section "$section=${section}_$level")
            names+=(--redefine-sym "__start_$section=__start_${section}_$level" --redefine-sym "__stop_$section=__stop_${section}_$level")
        done
        objcopy "${names[@]}" "@$native/hot.rsp" "$native/part-$level.o"
        parts+=("$native/part-$level.o")
    done
    # The linker warns of what a C library inside a program can look for outside it, users and groups by name: this program asks for none.
    "$cc" -O2 src/Run/ChooseLevel.c "${parts[@]}" "${flags[@]}" -Wl,--gc-sections -Wl,--strip-all -o "$built/llamafs-run" 2>"$native/link.log" ||
        { cat "$native/link.log" >&2; exit 1; }
}
if ((${#levels[@]} > 0)); then link_levels; fi

mkdir -p "$folder"
cp "$built/llamafs-run" "$folder/llamafs-run.new"
mv "$folder/llamafs-run.new" "$folder/llamafs-run"
ls -l "$folder/llamafs-run" | awk '{ printf "%s: %.1f MB\n", $NF, $5 / 1e6 }'
