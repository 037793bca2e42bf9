#!/usr/bin/env bash
# Sets everything up, then checks everything: lint, formats, types, documentation, C++
# warnings as errors, tests of the C++ kernels, tests.
# Arguments go to pytest: bash scripts/test.sh tests/test_confusion.py -k counts
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export RESCALE_FAST_WERROR=ON
bash scripts/setup.sh
bash scripts/check.sh
bash scripts/docs.sh build --quiet
export PATH="$PWD/.venv/bin:$PATH"
cmake --preset release >/dev/null
cmake --build --preset release
ctest --preset release
exec .venv/bin/python -m pytest -n 2 --dist worksteal "$@"
