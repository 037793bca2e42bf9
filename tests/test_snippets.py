"""README and docs do what they show: their commands and snippets run, page by page, on letters instead of photographs.

What a reader has and types differs from what runs here by the tables below, and by nothing else.
"""

import re
import shlex
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from rescale_fast.class_subset.choose import METHODS
from rescale_fast.datasets.glyphs import characters, draw_glyph
from rescale_fast.datasets.published import imagenet_classes, places365_classes
from rescale_fast.networks.build import build_network
from rescale_fast.run.commands import main
from tests.conftest import ROOT

PAGES = [
    *("README.md", "docs/quickstart.md", "docs/classes.md", "docs/coarse.md", "docs/images.md", "docs/export.md"),
    *("docs/downsample.md", "docs/worth.md", "docs/train.md", "docs/python.md", "docs/formats.md"),
    *("docs/distributed.md", "docs/install.md", "examples/quality/README.md"),
]
IN_PLACE_OF = {  # of what a page says; `data` is a folder of three sets of letters, laid out as those that it names
    "/data/": "{data}/",
    "python -m rescale_fast.run ...": "rescale-fast run --dataset imagenet --root {data}/imagenet",
    "python -m rescale_fast.run": "rescale-fast run",
    "per_class=500": "per_class=2",
    "--configuration N20-M5000": "--num-groups 20 --per-class 2",
    "--images difficulty": "--images difficulty --score-epochs 1",
    "--label-errors relabel": "--label-errors list",  # by a network that knows nothing, all would be
    "--k 100 --images": "--k 20 --images",
    "images:130": "images:1",
    'device="cuda"': 'device="cpu"',
    "image_size=224": "image_size=24",
    "transform=224": "transform=24",
    'split="train", batch_size=256': 'split="train", batch_size=4, loader="torchvision"',  # batches that fill
}
OPTIONS = {  # of a command, whatever a page says: other networks are downloaded, or trained for long
    ("run", "--network"): "small",
    ("run", "--glyph-classes"): "12",
    ("run", "--per-class"): "2",  # images are what there is of a class
    ("validate", "--network"): "small",
    ("train", "--networks"): "small",
    ("train", "--train-network"): "small",
    ("train", "--seeds"): "1",
}
LISTED = {"--published", "--classes"}  # classes that need no network
ADDED = [  # to a command, unless it has one of these options; torchvision's readers start at once
    ("run", LISTED | {"--loader"}, "--loader torchvision"),
    ("run", LISTED | {"--weights", "--glyph-classes"}, "--network small --weights {root}.pt"),
    ("run", {"--until"}, "--epochs 1 --train-batch-size 16"),
    ("validate", {"--weights"}, "--network small --weights {root}.pt"),
    ("validate", {"--loader"}, "--loader torchvision"),
    ("experiment", set(), "--network small --weights {root}.pt --loader torchvision"),
    ("train", {"--loader"}, "--loader torchvision"),
    ("train", {"--epochs"}, "--epochs 1 --train-batch-size 16"),
    ("train", {"--networks", "--train-network"}, "--train-network small"),
    ("score", {"--score-epochs"}, "--score-epochs 1"),
]
NOT_RUN = {  # lines that have this in them, and why
    "bash scripts/": "sets up a machine (test_setup_script.py)",
    "bash install.sh": "installs what bundle.sh packed (test_bundle.py)",
    "source .venv/bin/activate": "is of a machine that was set up so",
    "torchrun": "needs GPUs",
    "sbatch": "needs SLURM",
    "SBATCH_OPTIONS=": "needs SLURM",
    "rescale-fast quality rescaled/": "needs trainings of several networks (test_quality_commands.py)",
    "--share 0/4": "trains for days (test_experiment.py)",
    "rescale-fast doctor": "looks at the machine (test_doctor.py)",
}
BLOCK = re.compile(r"^```(bash|python)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
LOOP = re.compile(r"^for (\w+) in ([^;]+);[^\n]*\n(.*?)^done$", re.DOTALL | re.MULTILINE)


def shell_lines(block):
    """The lines of a shell example: those that go on joined, loops gone through, what is printed left out."""
    block = re.sub(r"^\$ (.*)\n[^$]*", r"\1\n", block, flags=re.MULTILINE)
    block = LOOP.sub(lambda m: "".join(m[3].replace(f"${m[1]}", value) for value in m[2].split()), block)
    return [line.strip() for line in block.replace("\\\n", " ").splitlines() if line.strip()]


def blocks(page):
    """(kind, text) of each example that runs here, in order."""
    return BLOCK.findall((ROOT / page).read_text(encoding="utf-8"))


def translated(text, data):
    for said, done in IN_PLACE_OF.items():
        text = text.replace(said, done.format(data=data))
    return text


def arguments(line):
    """What the line gives `rescale-fast`, after OPTIONS and ADDED."""
    program, command, *words = shlex.split(line, comments=True)
    assert program == "rescale-fast", line
    for (name, option), value in OPTIONS.items():
        if name == command and option in words:
            words[words.index(option) + 1] = value
    root = words[words.index("--root") + 1] if "--root" in words else ""
    for name, unless, more in ADDED:
        if name == command and not unless & set(words):
            words += more.format(root=root).split()
    return [command, *words]


def letters(folder, class_ids, train, val):
    """Draw a set laid out as train/<class>/* and val/<class>/*, and the weights of a network for it beside it."""
    for label, (character, class_id) in enumerate(zip(characters(), class_ids, strict=False)):
        for split, count in (("train", train), ("val", val)):
            (folder / split / class_id).mkdir(parents=True)
            for i in range(count):
                image, quality = draw_glyph(character, 24, np.random.default_rng([label, len(split), i]))
                image.save(folder / split / class_id / f"{class_id}_{split}_{i}.jpg", quality=quality)
    torch.save(build_network("small", len(class_ids)).state_dict(), folder.with_suffix(".pt"))


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Letters that pass for the sets of the pages: ImageNet's 1,000 classes, Places365's, and 60 of somebody's."""
    folder = tmp_path_factory.mktemp("data")
    letters(folder / "imagenet", sorted(imagenet_classes()), 2, 1)
    letters(folder / "places365", places365_classes(), 2, 1)
    letters(folder / "mine", [f"kind{i:02d}" for i in range(60)], 4, 2)
    return folder


@pytest.fixture(scope="module")
def given(data, tmp_path_factory):
    """What the pages take for granted: a finished run, betons, lists of classes, guesses, tables."""
    folder = tmp_path_factory.mktemp("given")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        shutil.copy(data / "mine.pt", "mine.pt")
        run = f"rescale-fast run --dataset imagenet --root {data}/imagenet --k 20 --until export"
        assert main(arguments(run)) == 0
        made = folder / "rescaled" / "imagenet"
        Path("other").mkdir()
        shutil.copy(made / "class_subset.json", "other/class_subset.json")
        class_ids = (made / "class_subset.txt").read_text().split()
        Path("class_subset.txt").write_text("\n".join(class_ids[:15]))
        Path("my-list.txt").write_text("\n".join(sorted(imagenet_classes())[:15]))
        for source, name in (("train", "train"), ("train", "a"), ("val", "b"), ("val", "more"), ("train", "imagenet")):
            for end in ("beton", "json"):
                shutil.copy(made / f"{source}.{end}", f"{name}.{end}")
        Path("coarse.txt").write_text("\n".join(f"{one} group{i % 2}" for i, one in enumerate(class_ids)))
        numbers = "\n".join(map(str, range(1, 1001)))
        Path("guesses.txt").write_text(numbers)
        Path("ILSVRC2012_validation_ground_truth.txt").write_text(numbers)
        rows = [f"net{i},{i},{i * i}" for i in range(4)]
        Path("mine.csv").write_text("\n".join(["network,full,subset", *rows]))
        for table in (ROOT / "examples" / "quality").glob("*.csv"):
            shutil.copy(table, folder)
    return folder


@pytest.fixture
def place(given, tmp_path, monkeypatch):
    """A folder of the page's own to work in."""
    shutil.copytree(given, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    yield
    METHODS.pop("mine", None)  # which a snippet adds


def choose_mine(confusion, settings, *_):
    """A way to choose classes of somebody's own."""
    return np.arange(settings.k), "the first", {}


def run_shell(block, data, capsys):
    for line in shell_lines(block):
        if not any(part in line for part in NOT_RUN):
            assert main(arguments(translated(line, data))) == 0, f"{line}\n{capsys.readouterr().err}"


@pytest.mark.usefixtures("one_thread", "place")
@pytest.mark.parametrize("page", PAGES)
def test_what_a_page_shows_runs(page, data, capsys):
    scope = {"my_network": build_network("small", 60).eval(), "choose_mine": choose_mine}
    for kind, text in blocks(page):
        if kind == "bash":
            run_shell(text, data, capsys)
        else:
            exec(compile(translated(text, data), page, "exec"), scope)
            assert "error:" not in capsys.readouterr().err  # of what a snippet calls


@pytest.mark.parametrize("part", NOT_RUN)
def test_what_is_not_run_is_on_the_pages(part):
    lines = [line for page in PAGES for kind, text in blocks(page) if kind == "bash" for line in shell_lines(text)]
    assert any(part in line for line in lines)


def test_what_is_replaced_is_on_the_pages():
    text = "".join(text for page in PAGES for _, text in blocks(page))
    assert [said for said in IN_PLACE_OF if said not in text] == []


def test_every_page_with_examples_is_run():
    """But the page of the command line, which is made of the examples of the help pages (test_command_line.py)."""
    pages = [ROOT / "README.md", *(ROOT / "docs").glob("*.md"), *(ROOT / "examples").rglob("*.md")]
    names = {str(page.relative_to(ROOT)) for page in pages}
    assert {name for name in names if blocks(name)} - {"docs/cli.md"} == set(PAGES)
