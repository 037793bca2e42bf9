#!/usr/bin/env bash
# Installs rescale_fast from the parts beside this file, without a network, a compiler or root, and looks whether it works.
#   bash install.sh [ENV]
# ENV (default .venv) is an environment that is there, or one to make: by python@PYTHON@, or what PYTHON names. A new one sees
# that Python's packages if some were left out of the parts. TMPDIR needs room for all parts.
set -euo pipefail
version=@PYTHON@ machine=@MACHINE@ glibc=@GLIBC@ wanted='@WANTED@' without='@WITHOUT@'

say() { printf '\033[1m==> %s\033[0m\n' "$*"; }
fail() { printf 'install: %s\n' "$*" >&2; exit 1; }

parts=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
environment=${1:-.venv}
python=${PYTHON:-python$version}
[ ! -x "$environment/bin/python" ] || python=$environment/bin/python

[ "$(uname -m)" = "$machine" ] || fail "this machine is $(uname -m); the parts are for $machine."
here=$(getconf GNU_LIBC_VERSION 2>/dev/null) || here="a C library other than glibc"
[ "$(printf '%s\n' "glibc $glibc" "$here" | sort -V | head -n 1)" = "glibc $glibc" ] ||
  fail "this machine has $here; the parts need glibc $glibc or newer. Make them on an older system."
found=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])') ||
  fail "$python does not run. Name another Python $version with PYTHON=/path/to/python."
[ "$found" = "$version" ] || fail "$python is Python $found; the parts are for $version. Name another with PYTHON=/path/to/python, or make the parts with --python $found."

say "Checking the parts"
(cd "$parts" && sha256sum --quiet -c SHA256SUMS) || fail "the files named above are missing or damaged. Bring them again."

unpacked=$(mktemp -d)
trap 'rm -rf "$unpacked"' EXIT
cat "$parts"/part-* | tar -xC "$unpacked" || fail "the parts could not be unpacked into $unpacked. Name a folder with more room with TMPDIR=/path."

if [ ! -x "$environment/bin/python" ]; then
  say "Creating $environment"
  "$python" -m venv --without-pip "$environment"
  if [ -n "$without" ]; then
    packages=$("$environment/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
    "$python" -c 'import sys; print(*(folder for folder in sys.path if folder.endswith("-packages")), sep="\n")' >"$packages/machine.pth"
  fi
fi

say "Installing $wanted"
pip() {
  "$environment/bin/python" "$(echo "$unpacked"/wheels/pip-*.whl)/pip" --isolated --disable-pip-version-check install -q \
    --no-index --no-cache-dir --find-links "$unpacked/wheels" "$@"
}
pip "$wanted" ||
  fail "pip could not install these; its own words are above.${without:+ The parts came without $without: these have to be there already, in $environment or in the packages of ${PYTHON:-python$version}.}"
pip --no-deps --force-reinstall rescale-fast # an older build may be there, of the same version

"$environment/bin/rescale-fast" doctor
say "Ready: source $environment/bin/activate"
