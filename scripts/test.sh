#!/usr/bin/env bash
# Everything that the tests need, then all tests. Ends with one line, "N passed, N failed, N skipped", summed over all test projects.
# Usage: scripts/test.sh [NAME …]   NAME: a test project without ".Tests", such as Core; all of them by default.
set -uo pipefail
source "$(dirname "$0")/help.sh"
cd "$(dirname "${BASH_SOURCE[0]}")/.."

command -v dotnet >/dev/null || { echo "test.sh: needs the .NET 10 SDK: https://dotnet.microsoft.com/download/dotnet/10.0" >&2; exit 1; }
if (($#)); then projects=("${@/%/.Tests}"); else mapfile -t projects < <(basename -a tests/*.Tests); fi

# In CI the lock files decide the exact packages; elsewhere a restore may add what another platform needs.
restore_mode=()
[[ ${CI:-} == true ]] && restore_mode=(-p:RestoreLockedMode=true)
dotnet restore "${restore_mode[@]}" || exit 1
dotnet build --no-restore --configuration Release --nologo --verbosity quiet -clp:NoSummary || exit 1

results=artifacts/test-results
rm -rf "$results"
mkdir -p "$results"
passed=0 failed=0 skipped=0 status=0
for project in "${projects[@]}"; do
    echo "== $project"
    dotnet test --project "tests/$project" --no-build --configuration Release --no-progress 2>&1 |
        tee "$results/$project.log" | grep -vE "^\s*\$" || true
    summary=$(grep -A 6 '^Test run summary' "$results/$project.log")
    if [[ -z $summary ]]; then
        echo "test.sh: $project: ended without a summary; see $results/$project.log" >&2
        failed=$((failed + 1)) status=1
        continue
    fi
    count() { awk -v name="$1:" '$1 == name { print $2 }' <<<"$summary"; }
    passed=$((passed + $(count succeeded))) skipped=$((skipped + $(count skipped)))
    if (($(count failed) > 0)); then failed=$((failed + $(count failed))) status=1; fi
    grep -q '^Test run summary: Passed' <<<"$summary" || status=1
done

echo
echo "$passed passed, $failed failed, $skipped skipped"
exit $status
