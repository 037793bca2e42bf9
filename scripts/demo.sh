#!/usr/bin/env bash
# Sets everything up, then runs the main job on the built-in data set. Arguments go to the main job.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
bash scripts/setup.sh
exec .venv/bin/python -m rescale_fast.run "$@"
