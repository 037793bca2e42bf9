#!/usr/bin/env bash
# Packs what a machine without a network needs into DIR: wheels, in parts of a size that travels, their SHA-256 sums,
# and install.sh. Our core and FFCV are compiled here, and bring the libraries that they link to.
#   bash scripts/bundle.sh DIR [--python 3.12] [--extras train,validate] [--without torch,torchvision] [--part-size 60M]
# --python     what that machine has: a version or the path of a python, which has to be here, too, with its headers
# --extras     the extras to bring (default: all), or "none" for the light install
# --without    packages that the machine has: neither they come nor what only they need; also as patterns: 'nvidia-*'
# --part-size  in the units of split: 60M is 60 MiB, 60MB is 60 million bytes
# scripts/setup.sh has to have run: it installs what compiles, and the tools in .venv. pip hears PIP_INDEX_URL and others.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export PATH="$PWD/.venv/bin:$PATH"

say() { printf '\033[1m==> %s\033[0m\n' "$*"; }
fail() { printf 'bundle: %s\n' "$*" >&2; exit 1; }
usage() { sed -n '4,9s/^# \{0,1\}//p' "$0" >&2; exit 2; }

target="" interpreter=python3 extras=all without="" part_size=60M
while [ "$#" -gt 0 ]; do
  case $1 in
    --*) [ "$#" -gt 1 ] || usage ;;&
    --python) interpreter=$2 ;;
    --extras) extras=$2 ;;
    --without) without=$2 ;;
    --part-size) part_size=$2 ;;
    -*) usage ;;
    *)
      [ -z "$target" ] || usage
      target=$1
      shift
      continue
      ;;
  esac
  shift 2
done
[ -n "$target" ] || usage
[[ "$interpreter" =~ ^[0-9]+\.[0-9]+$ ]] && interpreter=python$interpreter

# What can be refused is refused before the long work.
[ -z "$(ls -A "$target" 2>/dev/null)" ] || fail "$target is not empty. Name a new folder or an empty one."
split -b "$part_size" /dev/null || fail "--part-size $part_size is no size to split. Write it as in 60M."
about=$("$interpreter" -c 'import os, platform, sys, sysconfig
assert sys.version_info >= (3, 11)
print("%d.%d" % sys.version_info[:2], platform.machine(), os.confstr("CS_GNU_LIBC_VERSION").split()[1])
print(sysconfig.get_path("include"))' 2>/dev/null) ||
  fail "$interpreter does not run here, or is older than Python 3.11. Install the other machine's Python here, with its headers, and give --python its version or path."
{ read -r version machine glibc && read -r headers; } <<<"$about"
[ -f "$headers/Python.h" ] || fail "$headers/Python.h is missing. Install the headers of $interpreter (python3-dev or alike)."
for module in packaging setuptools wheel; do
  python -c "import $module" 2>/dev/null || fail "the tools in .venv are not there ($module is missing). Run scripts/setup.sh first."
done

mkdir -p "$target"
target=$(cd "$target" && pwd)
work=$(mktemp -d "$target/work-XXXXXX")
trap 'rm -rf "$work"' EXIT

# The loader looks for libraries in rescale_fast.libs, beside the package that was compiled. As DT_RPATH, which these tags
# make, this holds for the libraries' own needs, too. The quotes are for the shell that ninja starts, and for setuptools.
export LDFLAGS="${LDFLAGS:-} -Wl,--as-needed -Wl,--disable-new-dtags '-Wl,-rpath,\$ORIGIN/../rescale_fast.libs'"
export PIP_CONSTRAINT="$PWD/constraints.txt" PIP_DISABLE_PIP_VERSION_CHECK=1
pip() { python -m pip --python "$interpreter" "$@"; }

say "Looking up which packages are needed"
python setup.py -q egg_info -e "$work" sdist -d "$work" 2>"$work/log" || fail "no source distribution: $(cat "$work/log")"
ours=$(echo "$work"/*.tar.gz) wanted="rescale-fast[$extras]"
[ "$extras" != none ] || wanted=rescale-fast
pip install -q --dry-run --ignore-installed --report "$work/report.json" "$ours${wanted#rescale-fast}" pip opencv-python-headless
python scripts/bundle_needs.py "$work" --wanted "$wanted" --without "$without" || exit 1

say "Downloading $(wc -l <"$work/wheels.txt") packages, and building $(wc -l <"$work/sources.txt") and our own"
pip wheel -q --no-deps -w "$work/wheels" -r "$work/wheels.txt"
# Without the cache, where a build that looks for its libraries elsewhere may lie.
pip wheel -q --no-deps --no-cache-dir -w "$work/built" -r "$work/sources.txt" "$ours"

say "Adding the libraries that were linked"
for wheel in "$work"/built/*.whl; do python -m wheel unpack -d "$work/unpacked" "$wheel" >/dev/null; done
rm "$work"/built/*.whl
find "$work/unpacked" -name '*.so' -exec ldd {} + >"$work/linked.txt"
! grep 'not found' "$work/linked.txt" >&2 || fail "the libraries named above are not where the loader finds them."
# All but glibc's and the compiler's own, which have to be as new on the other machine as here.
libraries=$(echo "$work"/unpacked/rescale_fast-*)/rescale_fast.libs
mkdir "$libraries"
awk '$3 ~ /^\// && $3 !~ /\/lib(c|m|dl|rt|pthread|stdc\+\+|gcc_s)\.so/ {print $3}' "$work/linked.txt" | sort -u |
  xargs cp -Lt "$libraries"
# OpenCV for Python comes without its windows, which would need the libraries of a desktop (bundle_needs.py).
sed -i 's/^\(Requires-Dist: opencv-python\)\b/\1-headless/' "$work"/unpacked/*/*.dist-info/METADATA
for package in "$work"/unpacked/*/; do python -m wheel pack -d "$work/wheels" "$package" >/dev/null; done

say "Writing parts of $part_size"
tar -C "$work" -cf - wheels | split -d -b "$part_size" - "$target/part-"
sed -e "s|@PYTHON@|$version|; s|@MACHINE@|$machine|; s|@GLIBC@|$glibc|; s|@WANTED@|$wanted|; s|@WITHOUT@|$without|" \
  scripts/bundle_install.sh >"$target/install.sh"
(cd "$target" && sha256sum install.sh part-* >SHA256SUMS)
parts=("$target"/part-*)
say "${#parts[@]} parts, $(du -cm "${parts[@]}" | tail -n 1 | cut -f 1) MiB. Bring all files of $target into one folder there, and run 'bash install.sh'"
