#!/usr/bin/env bash
# Sets everything up, then checks everything: lint, format, types, C++ warnings as errors, tests.
# Arguments go to pytest: bash scripts/test.sh tests/test_confusion.py -k counts
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export RESCALE_FAST_WERROR=ON
bash scripts/setup.sh
.venv/bin/ruff check .
.venv/bin/ruff format --check .
.venv/bin/mypy
exec .venv/bin/python -m pytest "$@"
