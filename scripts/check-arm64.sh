#!/usr/bin/env bash
# Runs tests as a processor of Arm's would, under emulation by qemu: what they compute, not how fast. All but Training.Tests, since libtorch has no build for Arm's Linux.
# Usage: scripts/check-arm64.sh [TESTS [ARGUMENTS OF THE TEST PROGRAM]]     default: Inference.Tests, the kernels of NEON, 10 minutes
#   ARM64_ROOT=FOLDER      with Arm's libc6, libstdc++6, libgcc-s1 and libssl3. On Debian: dpkg --add-architecture arm64; apt-get update;
#                          apt-get download {libc6,libstdc++6,libgcc-s1,libssl3}:arm64; for d in *.deb; do dpkg -x $d FOLDER; done
#   QEMU_CPU=cortex-a72    for a processor without the instructions for dot products
set -euo pipefail
source "$(dirname "$0")/help.sh"
cd "$(dirname "${BASH_SOURCE[0]}")/.."
tests=${1:-Inference.Tests}
command -v qemu-aarch64-static >/dev/null || { echo "check-arm64.sh: needs qemu-aarch64-static (Debian: qemu-user-static)" >&2; exit 1; }
[[ ${ARM64_ROOT:-} && -e $ARM64_ROOT/lib/ld-linux-aarch64.so.1 ]] || { echo "check-arm64.sh: ARM64_ROOT names no folder with lib/ld-linux-aarch64.so.1; the head of this script says how to make one" >&2; exit 1; }

# A build tree of its own, inside the repository, where the tests look for it. AheadOfTime keeps the packages of another platform out of the lock files.
built=artifacts/arm64
dotnet publish "tests/$tests" --configuration Release --runtime linux-arm64 --self-contained -p:AheadOfTime=true \
    --artifacts-path "$built" --output "$built/$tests" --nologo --verbosity quiet
export LLAMAFS_FIXTURES=${LLAMAFS_FIXTURES:-$(realpath -m ../shared/fixtures)}
export DOTNET_EnableWriteXorExecute=0 # qemu does not see code that is written through another address
exec qemu-aarch64-static -L "$ARM64_ROOT" "$built/$tests/LlamaFullstack.$tests" -parallelMode none "${@:2}"
