#!/usr/bin/env bash
# Sets up everything on Debian or Ubuntu: system packages, .venv, pinned Python packages, the C++ core.
# Idempotent, and quick when nothing has changed. scripts/demo.sh and scripts/test.sh call it.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

say() { printf '\033[1m==> %s\033[0m\n' "$*"; }
fail() { printf 'setup: %s\n' "$*" >&2; exit 1; }

SYSTEM_PACKAGES=(g++ pkg-config python3-dev python3-venv libopencv-dev libturbojpeg0-dev libjpeg-dev libxxhash-dev
  doctest-dev)

# Elsewhere than on Debian and Ubuntu: the line that installs the same, by what the system calls itself.
elsewhere() {
  local names=""
  [ -r "${OS_RELEASE:=/etc/os-release}" ] && names=$(. "$OS_RELEASE" && echo "${ID:-} ${ID_LIKE:-}")
  [ "$(uname -s)" = Darwin ] && names=macos
  case " $names " in
    *" fedora "* | *" rhel "*) echo "sudo dnf install gcc-c++ pkgconf python3-devel opencv-devel turbojpeg-devel libjpeg-turbo-devel xxhash-devel doctest-devel" ;;
    *" arch "*) echo "sudo pacman -S --needed base-devel pkgconf python opencv libjpeg-turbo xxhash doctest" ;;
    *" suse "* | *" opensuse "*) echo "sudo zypper install gcc-c++ pkgconf python3-devel opencv-devel libjpeg8-devel xxhash-devel doctest-devel" ;;
    *" macos "*) echo "brew install jpeg-turbo xxhash    (then, as DALI is not made for macOS, 'pip install .' in place of this script)" ;;
    *) echo "(a C++17 compiler, pkg-config, the Python headers, OpenCV 4, libturbojpeg, libjpeg-turbo, xxHash and doctest, with headers)" ;;
  esac
}

install_system_packages() {
  command -v dpkg-query >/dev/null || {
    pkg-config --exists opencv4 libturbojpeg libjpeg libxxhash 2>/dev/null && return
    fail "this is not Debian or Ubuntu, and libraries are missing. Install them, then run this script again:
    $(elsewhere)"
  }
  local missing=() package
  for package in "${SYSTEM_PACKAGES[@]}"; do
    dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed || missing+=("$package")
  done
  [ "${#missing[@]}" -eq 0 ] && return
  local as_root=()
  if [ "$(id -u)" -ne 0 ]; then
    if command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
      as_root=(sudo)
    else
      fail "system packages are missing. Run this line, then run this script again:
    sudo apt-get update && sudo apt-get install -y ${missing[*]}"
    fi
  fi
  say "Installing system packages: ${missing[*]}"
  "${as_root[@]}" apt-get update -qq &&
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "${missing[@]}" >/dev/null ||
    fail "apt-get could not install ${missing[*]}; its own words are above. Without a network, bring these packages from elsewhere first."
}

# Prints a digest of the given files and of anything else that decides what they produce.
stamp_of() { { cat "$@"; .venv/bin/python --version; } | sha256sum; }
is_current() { [ -f ".venv/$1.stamp" ] && [ "$(cat ".venv/$1.stamp")" = "$2" ]; }

# pip, with what to do when it fails.
pip_install() {
  PATH="$PWD/.venv/bin:$PATH" .venv/bin/pip install -q -c constraints.txt "$@" ||
    fail "pip could not install these; its own words are above. Where no index can be reached, see 'No network' in docs/install.md; pip hears PIP_INDEX_URL and PIP_FIND_LINKS."
}

PYTHON=${PYTHON:-python3}
if [ ! -x .venv/bin/python ] && [ -n "${CONDA_PREFIX:-}" ] && [[ "$(command -v "$PYTHON")" = "$CONDA_PREFIX"/* ]]; then
  fail "a conda environment is active ($CONDA_PREFIX), whose compiler and libraries do not go together with the system's. Run 'conda deactivate', or name another Python with PYTHON=/usr/bin/python3."
fi
install_system_packages
"$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
  fail "$PYTHON is $("$PYTHON" --version 2>&1); Python 3.11 or newer is needed. Name one with PYTHON=/path/to/python3.12."
[ -x .venv/bin/python ] || { say "Creating .venv"; "$PYTHON" -m venv .venv; }

packages=$(stamp_of pyproject.toml constraints.txt)
core="$(stamp_of pyproject.toml constraints.txt setup.py CMakeLists.txt $(find csrc -type f | sort)) ${RESCALE_FAST_WERROR:-OFF}"
if ! is_current packages "$packages"; then
  say "Installing Python packages into .venv (several GB the first time: torch, DALI)"
  pip_install setuptools wheel pybind11 cmake ninja
  pip_install --no-build-isolation -e '.[all,dev,docs]'
  echo "$packages" >.venv/packages.stamp
  echo "$core" >.venv/core.stamp
elif ! is_current core "$core" || ! compgen -G 'rescale_fast/_core*.so' >/dev/null; then
  say "Building the C++ core"
  PATH="$PWD/.venv/bin:$PATH" .venv/bin/python setup.py -q build_ext --inplace
  echo "$core" >.venv/core.stamp
fi
