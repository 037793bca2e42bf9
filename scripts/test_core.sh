#!/usr/bin/env bash
# Tests the package with another build of its C++ core, in a copy below build/; scripts/setup.sh has to have run.
#   bash scripts/test_core.sh sanitized   with the address and undefined-behaviour sanitizers: the first fault ends it
#   bash scripts/test_core.sh jpeg8       with a libjpeg-turbo of libjpeg 8's ABI, which is Ubuntu's, made from the
#                                         source that this system's package servers have
# Further arguments go to pytest instead of the tests that concern the core.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
python=${PYTHON:-.venv/bin/python}
python=$(cd "$(dirname "$python")" && pwd)/$(basename "$python")
kind=${1:-}
shift || true
work=$PWD/build/$kind

# Only the source packages of this system's own release, in folders of their own: nothing about the system changes.
fetch_libjpeg_turbo() {
  local apt=$work/apt
  mkdir -p "$apt/parts" "$apt/lists/partial" "$apt/cache" "$work/source"
  for list in /etc/apt/sources.list /etc/apt/sources.list.d/{debian,ubuntu}.sources; do
    [ -f "$list" ] && sed 's/^Types: deb$/Types: deb-src/; s/^deb /deb-src /' "$list" >"$apt/parts/$(basename "$list")"
  done
  local options=(-qq -o "Dir::Etc::SourceList=$apt/parts/sources.list" -o "Dir::Etc::SourceParts=$apt/parts"
    -o "Dir::State::Lists=$apt/lists" -o "Dir::Cache=$apt/cache" -o APT::Sandbox::User=)
  apt-get "${options[@]}" update
  (cd "$work" && apt-get "${options[@]}" source --download-only libjpeg-turbo)
  tar xf "$work"/libjpeg-turbo_*.orig.tar.* -C "$work/source" --strip-components=1
}

build_libjpeg_turbo() {
  [ -e "$work/installed/lib/libjpeg.so.8" ] && return
  fetch_libjpeg_turbo
  cmake -S "$work/source" -B "$work/turbo" -G Ninja -DCMAKE_POLICY_VERSION_MINIMUM=3.5 \
    -DCMAKE_BUILD_TYPE=Release -DWITH_JPEG8=1 -DWITH_SIMD=0 -DWITH_TURBOJPEG=0 -DENABLE_STATIC=0 \
    -DCMAKE_INSTALL_PREFIX="$work/installed" \
    -DCMAKE_INSTALL_LIBDIR="$work/installed/lib" >/dev/null
  cmake --build "$work/turbo" --target install >/dev/null
}

case $kind in
  sanitized)
    options=(-DRESCALE_FAST_SANITIZE=address,undefined -DCMAKE_BUILD_TYPE=Debug "-DCMAKE_CXX_FLAGS=-O1 -fno-var-tracking")
    tests=(tests/test_codecs.py::test_an_empty_file_has_no_digests tests/test_{hostile_jpegs,export,downsample}.py
      tests/test_beton_{check,edit}.py tests/test_{confusion,choose,class_grouping}.py
      -k "not whole_run") # DALI does not load behind them
    ;;
  jpeg8)
    build_libjpeg_turbo
    export CMAKE_PREFIX_PATH=$work/installed LD_LIBRARY_PATH=$work/installed/lib
    export CPLUS_INCLUDE_PATH=$work/installed/include LIBRARY_PATH=$work/installed/lib # for the program of the tests
    options=(-DRESCALE_FAST_WERROR=ON)
    tests=(tests/test_{codecs,hostile_jpegs,export,downsample}.py)
    ;;
  *)
    sed -n '2,6s/^# \{0,1\}//p' "$0" >&2
    exit 2
    ;;
esac

rm -rf "$work/tree"
mkdir -p "$work/tree"
cp -r --preserve=timestamps CMakeLists.txt pyproject.toml csrc rescale_fast tests benchmarks "$work/tree"
rm -f "$work"/tree/rescale_fast/_core*.so
cmake -S "$work/tree" -B "$work/core" -G Ninja -DRESCALE_FAST_TESTS=ON "${options[@]}" -DPython_EXECUTABLE="$python" \
  -Dpybind11_DIR="$("$python" -m pybind11 --cmakedir)" -DCMAKE_LIBRARY_OUTPUT_DIRECTORY="$work/tree/rescale_fast" >/dev/null
cmake --build "$work/core"
ctest --test-dir "$work/core" --output-on-failure
cd "$work/tree"
if [ "$kind" = sanitized ]; then
  # The interpreter is not sanitized, so the run-time libraries come first.
  LD_PRELOAD="$(c++ -print-file-name=libasan.so) $(c++ -print-file-name=libubsan.so) $(c++ -print-file-name=libstdc++.so)"
  export LD_PRELOAD ASAN_OPTIONS=detect_leaks=0 UBSAN_OPTIONS=print_stacktrace=1
fi
[ "$#" -gt 0 ] && tests=("$@")
PYTHONPATH=$PWD exec "$python" -m pytest -p no:cacheprovider "${tests[@]}"
