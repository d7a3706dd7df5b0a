#!/usr/bin/env bash
# Trains vocabularies of random texts beside spm_train, and compares pieces, order, ids and scores.
# Usage: scripts/check-spm-train.sh SPM_TRAIN [CASES [FIRST_SEED]]
# SPM_TRAIN: that of sentencepiece 0.1.99 or later; Debian 12's 0.1.97 counts overlapping pairs differently and trains other pieces.
set -euo pipefail
source "$(dirname "$0")/help.sh"
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export SPM_TRAIN=${1:?usage: scripts/check-spm-train.sh SPM_TRAIN [CASES [FIRST_SEED]]} SPM_CASES=${2:-90} SPM_SEED=${3:-0}
exec dotnet test --project tests/Data.Tests -c Release --no-progress --output Detailed --filter-class '*SpmTrainTests'
