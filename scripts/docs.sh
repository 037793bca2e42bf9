#!/usr/bin/env bash
# Builds the documentation into build/site; a link that leads nowhere, or a page that no menu names, ends it.
# `bash scripts/docs.sh serve` shows it while it is written.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
bash scripts/setup.sh
export NO_MKDOCS_2_WARNING=1 # of another program of that name
[ "$#" -gt 0 ] || set -- build
exec .venv/bin/mkdocs "$@"
