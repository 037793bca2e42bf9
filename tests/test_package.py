"""What strangers install: the source distribution builds by itself, and what comes of it works."""

import os
import re
import subprocess
import sys
import tarfile
import tomllib
import venv
from importlib.metadata import distribution, distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from PIL import Image

from rescale_fast import __version__
from rescale_fast.extras import EXTRAS
from rescale_fast.run.commands import main
from rescale_fast.terminal import run_command

ROOT = Path(__file__).resolve().parent.parent
HEAVY = ("torch", "nvidia", "ffcv", "timm", "matplotlib", "scipy", "cleanlab", "imagehash")
pytestmark = pytest.mark.skipif(not (ROOT / ".git").exists(), reason="needs a clone, to know which files are tracked")
LIGHT_COMMANDS = """
run --dataset folder --root set --classes all --per-class 3 --until export --out run
run --dataset folder --root set --classes ab.txt --out listed --until export --store raw
run --dataset folder --root set --confusion confusion.csv --k 2 --per-class 3 --until export --out counted
select --confusion confusion.csv --k 2 --effort prove --out chosen
select --confusion confusion.csv --k 2 --method random --out other
compare chosen/class_subset.json other/class_subset.json --confusion confusion.csv
group --confusion confusion.csv --grouping random --num-groups 2 --out grouped
export --form folder --out run
export --form webdataset --out run
export --form parquet --out run
check run/val.beton
cut run/train.beton --target cut.beton --classes ab.txt
merge cut.beton cut.beton --target merged.beton
append merged.beton cut.beton
relabel cut.beton --labels labels.txt --target relabelled.beton
downsample --dataset folder --root set --side 8 --out small
evaluate --truth run/image_subset.parquet --guesses guesses.txt
resolution --val-images 500
report --out counted
"""
COUNTED = "run --dataset folder --root set --confusion confusion.csv --k 2 --until export "
RUN_THEM = """
import sys
from pathlib import Path
from rescale_fast.run.commands import main
for line in Path("commands.txt").read_text().splitlines():
    code = main(line.split())
    assert code == 0, f"{line}: {code}"
print("all done", *(name for name in sys.argv[1:] if name in sys.modules))
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


@pytest.fixture(scope="module")
def light(sdist, tmp_path_factory):
    """A folder with a virtual environment, `bare`, of a wheel from the source distribution and what it depends on.

    What it depends on is linked from the environment that runs the tests: as in an installation, nothing else is there.
    """
    place = tmp_path_factory.mktemp("light")
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "-q")
    run(*pip, "wheel", "--no-deps", "--no-build-isolation", "-w", place, sdist, cwd=place)
    (wheel,) = place.glob("rescale_fast-*.whl")
    venv.create(place / "bare", with_pip=False)
    run(*pip, "--python", place / "bare/bin/python", "install", "--no-deps", "--no-index", wheel, cwd=place)
    (packages,) = place.glob("bare/lib/python3*/site-packages")
    (made,) = distributions(name="rescale-fast", path=[str(packages)])
    for needed in depended_on(made).values():
        for name in {file.parts[0] for file in needed.files} - {"..", "__pycache__"}:
            if not (packages / name).exists():
                (packages / name).symlink_to(needed.locate_file(name))
    return place


def depended_on(made, *, known=None):
    """The distributions that one needs by itself, and those that these need, by name."""
    known = {} if known is None else known
    for line in made.requires or []:
        wanted = Requirement(line)
        name = canonicalize_name(wanted.name)
        if name not in known and (wanted.marker is None or wanted.marker.evaluate({"extra": ""})):
            known[name] = distribution(name)
            depended_on(known[name], known=known)
    return known


@pytest.mark.slow
def test_a_light_install_is_small_and_does_all_that_needs_no_network(light):
    python, command = light / "bare/bin/python", light / "bare/bin/rescale-fast"
    packages = [*light.glob("bare/lib/python3*/site-packages/*")]
    files = {file.resolve() for package in packages for file in [package, *package.resolve().rglob("*")]}
    assert sum(file.stat().st_size for file in files if file.is_file()) < 300 * 2**20
    assert run(command, "--version", cwd=light).strip().endswith(__version__)
    for split, count in (("train", 4), ("val", 2)):
        for number, name in enumerate("abc"):
            (light / "set" / split / name).mkdir(parents=True)
            for i in range(count):
                Image.new("RGB", (24, 16), (40 * i, 80 * number, 90)).save(light / "set" / split / name / f"{i}.jpg")
    (light / "confusion.csv").write_text("class,a,b,c\na,3,1,0\nb,2,2,1\nc,0,0,5\n")
    (light / "ab.txt").write_text("a\nb\n")
    (light / "labels.txt").write_text("1\n0\n" * 3)
    (light / "guesses.txt").write_text("a\n" * 6)
    (light / "commands.txt").write_text(LIGHT_COMMANDS.strip())
    assert run(python, "-c", RUN_THEM, *HEAVY, cwd=light).splitlines()[-1] == "all done"
    assert "heat-data" in (light / "counted" / "report.html").read_text()


def test_the_extras_are_those_that_messages_name():
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    package_of = {"nvidia.dali": "nvidia-dali-cuda130"}
    for extra, modules in EXTRAS.items():
        listed = {re.match(r"[\w-]+", one)[0] for one in declared[extra]}
        assert listed == {package_of.get(module, module) for module in modules}, extra
    assert declared["all"] == [f"rescale-fast[{','.join(EXTRAS)}]"]


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("validate --dataset folder --root set", "needs torch and nvidia.dali.*rescale-fast[validate]'"),
        ("validate --dataset folder --root set --loader torchvision", "needs torch and torchvision, .*fast[validate]'"),
        ("run --dataset folder --root set --k 2", "validating .*needs torch and nvidia.dali.*rescale-fast[validate]'"),
        ("run --dataset folder --root set --classes all", "pass --until export): needs torch and ffcv.*fast[train]'"),
        (
            "run --dataset glyphs",
            "glyphs .*needs matplotlib, .*`pip install 'rescale-fast[report]'",
        ),
        (
            "train --out .",
            "training: needs torch and ffcv, .* `pip install 'rescale-fast[train]'",
        ),
        (
            COUNTED + "--near-duplicates 4",
            "--near-duplicates 4: needs imagehash, .*`pip install 'rescale-fast[images]'",
        ),
        (
            COUNTED + "--label-errors drop",
            "--label-errors drop: needs cleanlab, .*`pip install 'rescale-fast[images]'",
        ),
        (
            COUNTED + "--images difficulty --per-class 1",
            "scoring images: needs torch and ffcv, .*`pip install 'rescale-fast[train]'",
        ),
        ("quality table.csv", "quality: needs scipy, which is not installed. `pip install 'rescale-fast[report]'"),
    ],
)
def test_a_command_says_which_extra_it_needs_before_it_does_anything(tmp_path, monkeypatch, capsys, command, words):
    for split in ("train", "val"):
        for name in "ab":
            (tmp_path / "set" / split / name).mkdir(parents=True)
            Image.new("RGB", (8, 8)).save(tmp_path / "set" / split / name / "0.png")
    (tmp_path / "confusion.csv").write_text("class,a,b\na,3,1\nb,0,2\n")
    (tmp_path / "table.csv").write_text("network,full,part\na,10,10\nb,20,20\nc,30,30\n")
    monkeypatch.chdir(tmp_path)
    for modules in EXTRAS.values():
        for module in modules:
            monkeypatch.setitem(sys.modules, module, None)
    before = sorted(tmp_path.rglob("*"))
    assert main(command.split()) == 2
    said = capsys.readouterr().err
    assert re.search(words.replace("[", r"\[").replace(")", r"\)"), said), said
    assert said.count("\n") == 1
    assert sorted(tmp_path.rglob("*")) == before


def test_an_import_that_fails_elsewhere_names_the_extra_too(monkeypatch, capsys):
    def work():
        import scipy.io  # noqa: F401

    monkeypatch.setitem(sys.modules, "scipy.io", None)
    assert run_command(work, how_to_resume="") == 2
    assert "needs scipy" in capsys.readouterr().err
    with pytest.raises(ModuleNotFoundError, match="no_such_package"):
        run_command(lambda: __import__("no_such_package"), how_to_resume="")
