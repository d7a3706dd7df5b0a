#!/usr/bin/env bash
# Compiles llamafs-run ahead of time: one file of a few MB that runs models where no .NET is installed, and starts at once.
# Usage: scripts/publish-run.sh [INSTRUCTIONS] [FOLDER]
#   INSTRUCTIONS  what the processor must have: native (this one's: the fastest, and the default), or a level for other machines too,
#                 such as x86-64-v3 (AVX2: anything since about 2015), x86-64-v2 (SSE 4.2), armv8-a. A program refuses to start on less.
#   FOLDER        where the program goes. Default: artifacts/llamafs-run
# Needs clang or gcc, and downloads the compiler (NuGet: Microsoft.DotNet.ILCompiler, about 100 MB) the first time.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

instructions=${1:-native} folder=${2:-artifacts/llamafs-run}
command -v dotnet >/dev/null || { echo "publish-run.sh: needs the .NET 10 SDK: https://dotnet.microsoft.com/download/dotnet/10.0" >&2; exit 1; }
command -v clang >/dev/null || command -v gcc >/dev/null || { echo "publish-run.sh: needs clang or gcc, to link" >&2; exit 1; }

# A build tree of its own: nothing of the usual build changes.
dotnet publish src/Run --configuration Release --use-current-runtime --artifacts-path artifacts/ahead-of-time --output "$folder" \
    -p:AheadOfTime=true -p:IlcInstructionSet="$instructions" -p:DebugType=none -p:StripSymbols=true \
    --nologo --verbosity quiet
rm -f "$folder"/*.xml "$folder"/*.dbg
ls -l "$folder/llamafs-run" | awk '{ printf "%s: %.1f MB\n", $NF, $5 / 1e6 }'
