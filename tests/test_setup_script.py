"""What scripts/setup.sh says where it cannot go on: programs that stand in for the system's, on a PATH of their own."""

import os
import shutil
import subprocess

import pytest

from tests.conftest import ROOT

TOOLS = ("bash", "dirname", "cat", "uname", "grep", "id", "sha256sum", "find", "sort", "env")


@pytest.fixture
def setup(tmp_path):
    """Runs the script in a folder of its own, with these programs (name: what they do) and no others but TOOLS."""
    programs = tmp_path / "bin"
    programs.mkdir()
    (tmp_path / "clone" / "scripts").mkdir(parents=True)
    shutil.copy(ROOT / "scripts" / "setup.sh", tmp_path / "clone" / "scripts")
    for name in ("pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, tmp_path / "clone")
    for name in TOOLS:
        (programs / name).symlink_to(shutil.which(name))

    def run(stand_ins, **environment):
        for name, does in stand_ins.items():
            program = tmp_path / "clone" / name if "/" in name else programs / name
            program.parent.mkdir(parents=True, exist_ok=True)
            program.unlink(missing_ok=True)
            program.write_text(f"#!/bin/bash\n{does}\n")
            program.chmod(0o755)
        done = subprocess.run(
            ["bash", tmp_path / "clone" / "scripts" / "setup.sh"],
            env={"PATH": str(programs), "HOME": str(tmp_path), **environment},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 1, done.stdout
        return done.stderr

    return run


PYTHON = {"python3": "[ $# = 1 ] && echo Python 3.11.9; exit 0"}


@pytest.mark.parametrize(
    ("release", "line"),
    [
        ("ID=fedora", "sudo dnf install gcc-c++"),
        ('ID="rocky"\nID_LIKE="rhel centos fedora"', "sudo dnf install gcc-c++"),
        ("ID=manjaro\nID_LIKE=arch", "sudo pacman -S --needed base-devel"),
        ('ID="opensuse-leap"\nID_LIKE="suse opensuse"', "sudo zypper install"),
        ("ID=alpine", "(a C++17 compiler, pkg-config"),
    ],
)
def test_elsewhere_it_gives_the_line_that_installs_the_libraries(setup, tmp_path, release, line):
    (tmp_path / "os-release").write_text(release)
    said = setup({**PYTHON, "pkg-config": "exit 1"}, OS_RELEASE=str(tmp_path / "os-release"))
    assert f"Install them, then run this script again:\n    {line}" in said


def test_on_a_mac_it_says_that_the_light_install_is_the_one(setup):
    said = setup({**PYTHON, "pkg-config": "exit 1", "uname": "echo Darwin"})
    assert "brew install jpeg-turbo xxhash    (then, as DALI is not made for macOS, 'pip install .'" in said


def test_system_packages_that_cannot_be_had_are_named(setup):
    said = setup({**PYTHON, "dpkg-query": "exit 1", "id": "echo 0", "apt-get": "echo no network >&2; exit 100"})
    assert "no network\nsetup: apt-get could not install g++ pkg-config" in said


def test_without_root_it_gives_the_line_to_run(setup):
    said = setup({**PYTHON, "dpkg-query": "exit 1", "id": "echo 1000"})
    assert "    sudo apt-get update && sudo apt-get install -y g++ pkg-config" in said


def test_an_old_python_is_named(setup):
    old = {"python3": "[ $# = 1 ] && echo Python 3.10.4; exit 1", "dpkg-query": "echo installed"}
    assert "python3 is Python 3.10.4; Python 3.11 or newer is needed. Name one with PYTHON=" in setup(old)


def test_an_active_conda_environment_is_told_to_step_aside(setup, tmp_path):
    said = setup({**PYTHON, "dpkg-query": "echo installed"}, CONDA_PREFIX=str(tmp_path))
    assert "Run 'conda deactivate'" in said


def test_without_an_index_it_says_what_to_do(setup):
    pip = "echo 'ERROR: Could not find a version that satisfies the requirement setuptools' >&2; exit 1"
    here = {".venv/bin/python": "echo Python 3.11.9", ".venv/bin/pip": pip, "dpkg-query": "echo installed"}
    said = setup({**PYTHON, **here}, CONDA_PREFIX=os.devnull)
    assert "Could not find a version" in said
    assert "setup: pip could not install these; its own words are above. Where no index can be reached" in said
