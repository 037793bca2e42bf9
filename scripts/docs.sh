#!/usr/bin/env bash
# Builds the documentation into build/site; a link that leads nowhere, or a page that no menu names, ends it.
# `bash scripts/docs.sh serve` shows it while it is written.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
bash scripts/setup.sh
exec .venv/bin/mkdocs "${1:-build}"
