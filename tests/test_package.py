"""What strangers install: the source distribution builds by itself, and what comes of it works."""

import os
import subprocess
import sys
import tarfile
import venv
from pathlib import Path

import pytest

from rescale_fast import __version__

ROOT = Path(__file__).resolve().parent.parent
LIGHT = ("numpy", "pyarrow", "rich", "pillow", "scipy", "xxhash")  # without torch, DALI and FFCV
pytestmark = pytest.mark.skipif(not (ROOT / ".git").exists(), reason="needs a clone, to know which files are tracked")
SMOKE = """
import numpy as np
from rescale_fast import __version__, _core
assert _core.__version__ == __version__, (_core.__version__, __version__)
from rescale_fast.confusion import count_confusion
from rescale_fast.class_subset.published import find_published
assert len(find_published("ReIN30").class_ids) == 30
print(count_confusion(np.array([0, 1, 1]), np.array([0, 1, 0]), 2).tolist())
"""


def run(*arguments, cwd):
    done = subprocess.run(list(map(str, arguments)), cwd=cwd, env=bare_environment(), capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    return done.stdout


def bare_environment():
    """The tests' own, without what would lead Python to the checkout, and with the build's programs."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return {**kept, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{kept['PATH']}"}


@pytest.fixture(scope="module")
def sdist(tmp_path_factory):
    """Made from a copy of the tracked files, so that nothing that a build left in the checkout gets in."""
    copy, target = tmp_path_factory.mktemp("copy"), tmp_path_factory.mktemp("sdist")
    tracked = run("git", "ls-files", "--cached", "--others", "--exclude-standard", cwd=ROOT).splitlines()
    for name in tracked:
        if (ROOT / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            (copy / name).write_bytes((ROOT / name).read_bytes())
    build = f"from setuptools import build_meta; build_meta.build_sdist({str(target)!r})"
    run(sys.executable, "-c", build, cwd=copy)
    (made,) = target.iterdir()
    return made


def test_the_source_distribution_holds_all_that_is_tracked(sdist):
    with tarfile.open(sdist) as tar:
        packed = {name.partition("/")[2] for name in tar.getnames()}
    tracked = set(run("git", "ls-files", cwd=ROOT).splitlines())
    left_out = {name for name in tracked - packed if (ROOT / name).is_file()}
    assert left_out <= {".ci/run", ".gitignore"}


@pytest.mark.slow
def test_a_wheel_from_the_source_distribution_works_in_a_bare_environment(sdist, tmp_path):
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "-q")
    run(*pip, "wheel", "--no-deps", "--no-build-isolation", "-w", tmp_path, sdist, cwd=tmp_path)
    (wheel,) = tmp_path.glob("rescale_fast-*.whl")
    venv.create(tmp_path / "bare", with_pip=False)
    python = tmp_path / "bare" / "bin" / "python"
    run(*pip, "--python", python, "install", "-c", ROOT / "constraints.txt", *LIGHT, cwd=tmp_path)
    run(*pip, "--python", python, "install", "--no-deps", wheel, cwd=tmp_path)
    assert run(python, "-c", SMOKE, cwd=tmp_path).split() == ["[[1,", "0],", "[1,", "1]]"]
    command = tmp_path / "bare" / "bin" / "rescale-fast"
    assert run(command, "--version", cwd=tmp_path).strip() == __version__
    assert "usage: rescale-fast" in run(command, "--help", cwd=tmp_path)
    assert "--k" in run(command, "select", "--help", cwd=tmp_path)
