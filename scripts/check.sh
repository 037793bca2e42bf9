#!/usr/bin/env bash
# Checks lint, format, types and the format of csrc with the tools in .venv (scripts/setup.sh has to have run): all
# four, or those that are named. scripts/test.sh and the pre-commit hooks call it, so what they run is written here alone.
#   bash scripts/check.sh              all
#   bash scripts/check.sh lint types   these two
#   bash scripts/check.sh mend         no check: puts right what ruff and clang-format can by themselves
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export PATH="$PWD/.venv/bin:$PATH"

sources() { find csrc -name '*.h' -o -name '*.cpp'; }

lint() { ruff check .; }
format() { ruff format --check .; }
types() { mypy; }
core() { sources | xargs clang-format --dry-run --Werror; }
mend() {
  ruff check --fix .
  ruff format .
  sources | xargs clang-format -i
}

[ "$#" -gt 0 ] || set -- lint format types core
for check in "$@"; do
  case $check in
    lint | format | types | core | mend) "$check" ;;
    *)
      sed -n '2,6s/^# \{0,1\}//p' "$0" >&2
      exit 2
      ;;
  esac
done
