"""What scripts/bundle.sh packs installs where there is no network: shown with stand-ins for our core and for FFCV."""

import io
import os
import shutil
import subprocess
import sys
import tarfile
import venv
import zipfile
from importlib.metadata import distribution
from pathlib import Path
from types import SimpleNamespace

import pytest

from scripts.bundle_needs import needed
from tests.conftest import ROOT

SCRIPTS = ("bundle.sh", "bundle_needs.py", "bundle_install.sh")
TOOLS = ("bash", "cat", "dirname", "getconf", "head", "mktemp", "rm", "sha256sum", "sort", "tar", "uname", "unshare")
NO_NETWORK = ("unshare", "--net", "--map-root-user")
LINKED = """
#include <Python.h>
#include <stdio.h>
#include <{header}>
static struct PyModuleDef module = {{PyModuleDef_HEAD_INIT, "{name}", NULL, -1, NULL}};
void *linked = (void *)&{function};
PyMODINIT_FUNC PyInit_{name}(void) {{ return PyModule_Create(&module); }}
"""
PROJECT = {
    "pyproject.toml": """
        [build-system]
        requires = ["setuptools"]
        [project]
        name = "rescale-fast"
        version = "0.1.0"
        dependencies = ["light"]
        optional-dependencies = { train = ["heavy", "linked"], all = ["rescale-fast[train]"] }
        scripts = { rescale-fast = "rescale_fast:main" }
        [tool.setuptools]
        packages = ["rescale_fast"]
        """.replace("        ", ""),
    "CMakeLists.txt": """
        cmake_minimum_required(VERSION 3.18)
        project(core C)
        find_package(JPEG REQUIRED)
        find_package(Python REQUIRED COMPONENTS Interpreter Development.Module)
        Python_add_library(_core MODULE WITH_SOABI core.c)
        target_link_libraries(_core PRIVATE JPEG::JPEG)
        """,
    "core.c": LINKED.format(name="_core", header="jpeglib.h", function="jpeg_std_error"),
    "MANIFEST.in": "include CMakeLists.txt core.c",
    "constraints.txt": "",
    "rescale_fast/__init__.py": """
def main():
    import socket
    import heavy, light, linked._linked, rescale_fast._core
    print("network:", *(name for _, name in socket.if_nameindex()))
    print("heavy:", heavy.__file__)
    libraries = {line.split()[-1] for line in open("/proc/self/maps") if "jpeg" in line}
    print("libraries:", *libraries)
""",
}
SOURCE = {
    "PKG-INFO": "Metadata-Version: 2.1\nName: linked\nVersion: 1.0\n",
    "setup.py": """
from setuptools import Extension, setup
linked = Extension("linked._linked", ["linked.c"], libraries=["turbojpeg"])
setup(name="linked", version="1.0", packages=["linked"], ext_modules=[linked], install_requires=["opencv-python"])
""",
    "linked.c": LINKED.format(name="_linked", header="turbojpeg.h", function="tjInitDecompress"),
    "linked/__init__.py": "",
}


def add_wheel(index, name, *needs):
    with zipfile.ZipFile(index / f"{name}-1.0-py3-none-any.whl", "w") as wheel:
        about = f"{name}-1.0.dist-info"
        wheel.writestr(f"{name}/__init__.py", "")
        requires = "".join(f"Requires-Dist: {need}\n" for need in needs)
        wheel.writestr(f"{about}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n{requires}")
        wheel.writestr(
            f"{about}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr(f"{about}/RECORD", "")


def add_pip(index):
    pip = distribution("pip")
    with zipfile.ZipFile(index / f"pip-{pip.version}-py3-none-any.whl", "w") as wheel:
        for file in pip.files:
            if file.parts[0] != ".." and file.suffix != ".pyc":
                wheel.write(file.locate(), str(file))


def add_source(index):
    with tarfile.open(index / "linked-1.0.tar.gz", "w:gz") as tar:
        for name, text in SOURCE.items():
            entry = tarfile.TarInfo(f"linked-1.0/{name}")
            entry.size = len(text)
            tar.addfile(entry, io.BytesIO(text.encode()))


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A bundle without `heavy`, of stand-ins: `index` is all that pip could see, `parts` is the bundle."""
    place = tmp_path_factory.mktemp("bundle")
    project, index = place / "project", place / "index"
    index.mkdir()
    for name, needs in {"light": ["shared"], "shared": [], "heavy": ["shared", "heavier"], "heavier": []}.items():
        add_wheel(index, name, *needs)
    for name in ("opencv_python", "opencv_python_headless"):
        add_wheel(index, name)
    add_pip(index)
    add_source(index)
    for name, text in PROJECT.items():
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        (project / name).write_text(text)
    shutil.copy(ROOT / "setup.py", project)
    (project / "scripts").mkdir()
    for name in SCRIPTS:
        shutil.copy(ROOT / "scripts" / name, project / "scripts")
    environment = {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": str(index),
        "PIP_NO_BUILD_ISOLATION": "0",  # pip reads this as: build with what is installed
    }

    def bundle(*arguments):
        script = project / "scripts" / "bundle.sh"
        return subprocess.run(["bash", script, *arguments], env=environment, capture_output=True, text=True)

    asked = ("--python", sys.executable, "--without", "heavy", "--part-size", "500KB")
    done = bundle(place / "parts", *asked)
    assert done.returncode == 0, done.stdout + done.stderr
    return SimpleNamespace(place=place, parts=place / "parts", index=index, bundle=bundle, said=done.stdout)


def make_machine(place):
    """A machine with Python, which holds `heavy`, and a few programs of every system, but no compiler and no pip."""
    venv.create(place / "python", with_pip=False)
    (packages,) = place.glob("python/lib/python3*/site-packages")
    add_wheel(place, "heavy")
    with zipfile.ZipFile(place / "heavy-1.0-py3-none-any.whl") as wheel:
        wheel.extractall(packages)
    programs = place / "bin"
    programs.mkdir()
    for name in TOOLS:
        (programs / name).symlink_to(shutil.which(name))

    def install(parts, *, before=(), **environment):
        variables = {"PATH": str(programs), "PYTHON": str(place / "python/bin/python"), **environment}
        command = [*before, "bash", parts / "install.sh", place / "env"]
        return subprocess.run(command, env=variables, capture_output=True, text=True)

    return SimpleNamespace(place=place, packages=packages, programs=programs, install=install)


@pytest.fixture
def machine(tmp_path):
    return make_machine(tmp_path)


@pytest.fixture(scope="module")
def installed(made, tmp_path_factory):
    """A machine without a network in whose `env` the bundle was installed, with what was said and its packages."""
    machine = make_machine(tmp_path_factory.mktemp("installed"))
    can_be = subprocess.run([*NO_NETWORK, "true"], capture_output=True).returncode == 0
    done = machine.install(made.parts, before=NO_NETWORK if can_be else ())
    assert done.returncode == 0, done.stdout + done.stderr
    (packages,) = machine.place.glob("env/lib/python3*/site-packages")
    said = dict(line.split(": ", 1) for line in done.stdout.splitlines() if ": " in line)
    return SimpleNamespace(machine=machine, packages=packages, said=said, without_network=can_be)


def stand_in(machine, name, does):
    (machine.programs / name).unlink(missing_ok=True)
    (machine.programs / name).write_text(f"#!/bin/bash\n{does}\n")
    (machine.programs / name).chmod(0o755)


def test_a_bundle_installs_without_a_network(installed):
    if not installed.without_network:
        pytest.skip("this system does not let us make a network namespace (unshare --net)")
    assert installed.said["network"] == "lo"


def test_what_was_compiled_finds_the_libraries_that_came_with_it(installed):
    libraries = installed.packages / "rescale_fast.libs"
    used = [Path(path) for path in installed.said["libraries"].split()]
    assert {path.name.partition(".")[0] for path in used} == {"libjpeg", "libturbojpeg"}
    assert all(path.resolve().parent == libraries.resolve() for path in used)
    assert not {path.name for path in libraries.iterdir()} & {"libc.so.6", "libm.so.6", "libstdc++.so.6"}


def test_what_was_left_out_is_the_machines_own(installed):
    assert Path(installed.said["heavy"]).is_relative_to(installed.machine.packages)


def test_an_environment_that_is_there_is_used_and_an_older_build_in_it_replaced(made, installed):
    older = installed.packages / "rescale_fast" / "__init__.py"
    older.write_text("older")
    done = installed.machine.install(made.parts, PYTHON="nowhere/python")
    assert done.returncode == 0, done.stdout + done.stderr
    assert older.read_text() == PROJECT["rescale_fast/__init__.py"]
    assert "Creating" not in done.stdout


def test_parts_have_the_size_that_was_asked_for_and_leave_nothing_else_behind(made):
    names = sorted(path.name for path in made.parts.iterdir())
    parts = [name for name in names if name.startswith("part-")]
    assert names == ["SHA256SUMS", "install.sh", *parts]
    sizes = [(made.parts / name).stat().st_size for name in parts]
    assert len(sizes) > 1 and set(sizes[:-1]) == {500_000} and sizes[-1] <= 500_000
    assert f"{len(parts)} parts" in made.said


def test_what_is_left_out_and_what_only_it_needs_does_not_come(made):
    packed = b"".join(path.read_bytes() for path in sorted(made.parts.glob("part-*")))
    with tarfile.open(fileobj=io.BytesIO(packed)) as tar:
        brought = {Path(name).name.partition("-")[0] for name in tar.getnames()}
    assert brought == {"wheels", "rescale_fast", "light", "shared", "linked", "opencv_python_headless", "pip"}


def test_parts_that_are_missing_or_damaged_are_named(made, machine):
    parts = shutil.copytree(made.parts, machine.place / "parts")
    with (parts / "part-01").open("r+b") as file:
        file.write(b"?")
    (parts / "part-00").unlink()
    done = machine.install(parts)
    assert done.returncode == 1
    assert "part-00: FAILED open or read" in done.stdout and "part-01: FAILED" in done.stdout
    assert "the files named above are missing or damaged. Bring them again." in done.stderr
    assert not (machine.place / "env").exists()


def test_another_machine_python_or_glibc_is_refused_before_anything_is_made(made, machine):
    stand_in(machine, "python", "echo 3.99")
    ours = f"{sys.version_info.major}.{sys.version_info.minor}"
    assert f"is Python 3.99; the parts are for {ours}" in machine.install(made.parts, PYTHON="python").stderr
    assert "nowhere/python does not run" in machine.install(made.parts, PYTHON="nowhere/python").stderr
    stand_in(machine, "getconf", "echo glibc 2.9")
    assert "this machine has glibc 2.9; the parts need glibc 2." in machine.install(made.parts).stderr
    stand_in(machine, "getconf", "exit 1")
    assert "this machine has a C library other than glibc" in machine.install(made.parts).stderr
    stand_in(machine, "uname", "echo riscv64")
    assert "this machine is riscv64; the parts are for" in machine.install(made.parts).stderr
    assert not (machine.place / "env").exists()


def test_what_was_left_out_and_is_not_there_is_named(made, machine):
    shutil.rmtree(machine.packages / "heavy-1.0.dist-info")
    done = machine.install(made.parts)
    assert done.returncode == 1
    assert "No matching distribution found for heavy" in done.stderr
    assert "The parts came without heavy: these have to be there already" in done.stderr


def test_a_bundle_refuses_what_cannot_be_before_the_long_work(made, tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    for arguments, words in [
        ((tmp_path / "full",), "is not empty. Name a new folder"),
        ((tmp_path / "new", "--part-size", "big"), "--part-size big is no size to split"),
        ((tmp_path / "new", "--python", "3.99"), "python3.99 does not run here"),
        ((tmp_path / "new", "--python"), "bash scripts/bundle.sh DIR [--python 3.12]"),
        ((tmp_path / "new", "--pyhton", "3.12"), "bash scripts/bundle.sh DIR [--python 3.12]"),
        ((), "bash scripts/bundle.sh DIR [--python 3.12]"),
    ]:
        done = made.bundle(*arguments)
        assert done.returncode in (1, 2) and words in done.stderr, done.stderr
    assert not (tmp_path / "new").exists()


def entry(name, *needs, extras=()):
    metadata = {"name": name, "version": "1", "requires_dist": list(needs), "provides_extra": list(extras)}
    return {"metadata": metadata, "download_info": {"url": f"{name}.whl"}}


REPORT = {
    "environment": {"python_version": "3.12", "sys_platform": "linux"},
    "install": [
        entry("Ours", "torch; extra == 'all'", "DALI; extra == 'all'", "numpy", extras=["all"]),
        entry("torch", "nvidia_cublas", "toolkit[blas,rand]", "numpy", "win; sys_platform == 'win32'"),
        entry("toolkit", "nvidia-cublas; extra == 'blas'", "nvidia-rand; extra == 'rand'", extras=["blas", "rand"]),
        entry("dali", "nvidia-jpeg"),
        *map(entry, ("numpy", "nvidia-cublas", "nvidia-rand", "nvidia-jpeg")),
    ],
}


@pytest.mark.parametrize(
    ("wanted", "without", "expected"),
    [
        ("ours", [], "numpy ours"),
        ("ours[all]", [], "dali numpy nvidia-cublas nvidia-jpeg nvidia-rand ours toolkit torch"),
        ("ours[all]", ["Torch"], "dali numpy nvidia-jpeg ours"),
        ("ours[all]", ["torch", "nvidia_*"], "dali numpy ours"),
        ("ours[all]", ["toolkit"], "dali numpy nvidia-cublas nvidia-jpeg ours torch"),
    ],
)
def test_what_another_package_needs_too_still_comes(wanted, without, expected):
    assert " ".join(sorted(needed(REPORT, [wanted], without))) == expected


def test_misspelt_extras_and_packages_are_named():
    with pytest.raises(ValueError, match="--without torhc: no such package is needed. Needed are dali, numpy"):
        needed(REPORT, ["ours[all]"], ["torhc"])
    with pytest.raises(ValueError, match="Ours has no extra trian. It has all"):
        needed(REPORT, ["ours[trian]"], [])
