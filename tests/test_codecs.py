"""What carries the C++ core: libjpeg's two ABIs, and threads that a machine does not have (more: csrc/tests/faults)."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from rescale_fast import _core
from rescale_fast.export.beton import HOW
from tests.conftest import ROOT

CORE = ROOT / "csrc"
SOURCES = sorted(path for path in CORE.rglob("*") if path.suffix in (".h", ".cpp"))
JPEG = sorted(CORE.glob("image/jpeg_*.cpp"))
RESIZE = [CORE / "image" / f"{name}.cpp" for name in ("resize", "resample_taps", "weigh")]
ABIS = {"62": "libjpeg 6b's, as Debian builds it", "80": "libjpeg 8's, as Ubuntu does"}


def compiler(*arguments):
    flags = ["-std=c++17", "-Wall", "-Wextra", "-Wconversion", "-Werror", f"-I{CORE}"]
    command = [*os.environ.get("CXX", "c++").split(), *flags, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def run_program(folder, sources, *flags):
    """Builds a program with parts of the core; its output. A signal ends it with an error."""
    compiler(*flags, *sources, "-ljpeg", "-o", folder / "program")
    done = subprocess.run([folder / "program"], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, f"{done.returncode}: {done.stderr}"
    return done.stdout.strip()


@pytest.fixture(scope="module")
def headers(tmp_path_factory):
    """Folders with libjpeg's headers for either ABI: those of this machine, and with the other version's number."""
    source = tmp_path_factory.mktemp("includes") / "jpeg.cpp"
    source.write_text("#include <cstdio>\n#include <jpeglib.h>\n#include <jerror.h>\n")
    listed = [Path(path) for path in compiler("-M", source).split() if path.endswith(".h")]
    folders = {}
    for version in ABIS:
        folders[version] = tmp_path_factory.mktemp(f"abi{version}")
        for path in (path for path in listed if path.name in ("jpeglib.h", "jconfig.h", "jmorecfg.h", "jerror.h")):
            text = re.sub(r"(#define JPEG_LIB_VERSION +)\d+", rf"\g<1>{version}", path.read_text(encoding="utf-8"))
            if path.name == "jconfig.h":  # said in headers of version 62 only; 80 always has them
                text += "\n#undef MEM_SRCDST_SUPPORTED\n#define MEM_SRCDST_SUPPORTED 1\n"
            (folders[version] / path.name).write_text(text, encoding="utf-8")
    return folders


@pytest.mark.parametrize("version", ABIS)
def test_the_core_compiles_for_either_abi_of_libjpeg(headers, version):
    users = [path for path in SOURCES if "<jpeglib.h>" in path.read_text(encoding="utf-8")]
    assert [path.name for path in users] == ["jpeg_library.h"]  # which the jpeg_*.cpp alone include
    includers = [path for path in SOURCES if '"image/jpeg_library.h"' in path.read_text(encoding="utf-8")]
    assert set(includers) <= set(JPEG)
    for path in JPEG:
        compiler(f"-I{headers[version]}", "-fsyntax-only", path)


def test_a_header_and_a_library_that_disagree_are_an_error_and_no_crash(headers, tmp_path):
    other = next(version for version in ABIS if version != installed_abi())
    program = CORE / "tests" / "faults" / "mismatch.cpp"
    told = run_program(tmp_path, [program, *JPEG, *RESIZE], f"-I{headers[other]}")
    assert told == "\n".join([f"Wrong JPEG library version: library is {installed_abi()}, caller expects {other}"] * 3)


def installed_abi():
    source = "#include <cstdio>\n#include <jpeglib.h>\nabi JPEG_LIB_VERSION\n"
    command = [*os.environ.get("CXX", "c++").split(), "-E", "-P", "-xc++", "-"]
    done = subprocess.run(command, input=source, capture_output=True, text=True, check=True)
    return re.search(r"^abi (\d+)$", done.stdout, re.MULTILINE)[1]


THREE_THOUSAND_THREADS = """
import resource, sys
import numpy as np
from rescale_fast import _core
from rescale_fast.export.beton import HOW
size = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (size + (100 << 20),) * 2)  # a thread's stack is 8 MiB
labels = np.arange(40_000) % 2
counts = _core.count_confusion(labels, 1 - labels, 2, num_threads=3000)
print(counts.tolist())
"""


def test_more_threads_than_memory_allows_count_the_same():
    arguments = [sys.executable, "-c", THREE_THOUSAND_THREADS]
    done = subprocess.run(arguments, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[[0, 20000], [20000, 0]]"


def test_an_empty_file_has_no_digests(tmp_path):
    with (tmp_path / "empty").open("w+b") as file:
        blocks = _core.digest_file(fd=file.fileno(), size=0, num_threads=1, advance=lambda count: None)
    assert blocks.shape == (0, 16)
    assert blocks.dtype == np.uint8


@pytest.mark.parametrize(
    ("function", "setting", "choices"),
    [
        (_core.write_images, "mode", "passthrough, resize, raw"),
        (_core.write_images, "resize_by", "short-side, long-side, cap"),
        (_core.downsample_images, "fit", "stretch, letterbox, fill"),
        (_core.downsample_images, "filter", "nearest, box, bilinear, hamming, bicubic, lanczos"),
    ],
)
def test_an_unknown_choice_is_refused_with_those_there_are(function, setting, choices):
    common = {"root": b"", "names": b"", "count": 0, "max_pixels": 1, "num_threads": 1}
    common |= {"waits": (), "load": lambda row, content: "none", "advance": lambda count: None}
    own = {
        _core.write_images: {"fd": 0, "start": 0, "page_size": 1 << 21, "mode": "raw", "resize_by": "cap"}
        | {"resize_side": 1, "eighths": 8, "max_side": 0, "quality": 90, "apply_exif": False, "stop_at_bad": False},
        _core.downsample_images: {"side": 8, "fit": "fill", "filter": "box", "grey": False, "fast": False},
    }
    with pytest.raises(ValueError, match=f"^{setting} is 'other', expected one of {choices}$"):
        function(**common | own[function] | {setting: "other"})


def test_every_way_of_storing_an_image_has_a_text_for_users():
    assert tuple(HOW) == _core.HOW
