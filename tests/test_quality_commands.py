"""`rescale-fast quality` as a user meets it: tables, trainings, the page, and messages about what cannot be judged."""

import json
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

import rescale_fast as rf
from rescale_fast.artifact import Origin
from rescale_fast.beton.types import BetonInfo
from rescale_fast.errors import SettingError
from rescale_fast.networks.registry import definition_of
from rescale_fast.quality.types import Quality
from rescale_fast.report.quality import write_quality_page
from rescale_fast.run.commands import main
from rescale_fast.run.folder import RunFolder
from rescale_fast.train.table import Cell, write_table
from rescale_fast.train.types import TrainRun
from tests.conftest import ROOT

TABLES = ROOT / "examples" / "quality"
ACCEL = ["quality", str(TABLES / "accel_nasbench_seeds.csv"), "--sets", "full", "proxy", "--draws", "100"]
V1 = Path(__file__).parent / "data" / "v1"
NETWORKS = ("ResNet18", "VGG16", "MAFNet", "GoogLeNet")
DIGESTS = {"train": "xxh3-128-mib:00", "val": "xxh3-128-mib:01"}


def training(network, accuracies, seed=0, recipe="fast", digests=DIGESTS):
    epochs = tuple({"epoch": i, "train_loss": 1.0, "val_top1": one} for i, one in enumerate(accuracies, 1))
    return TrainRun(Origin(digests, definition_of(network)), network, 10, 4, 24, recipe, seed, None, epochs)


def run_folder(path, accuracies, *, seeds=(0,), images=(400, 100), recipe="fast"):
    """A run folder with the trainings of NETWORKS. Args: accuracies: (M, E). images: in train and val."""
    path.mkdir()
    info = BetonInfo.load(V1 / "train.json")
    for (split, digest), number in zip(DIGESTS.items(), images, strict=True):
        replace(info, split=split, num_images=number, digest=digest).save(path / f"{split}.json")
    for network, row in zip(NETWORKS, accuracies, strict=True):
        for seed in seeds:
            run = training(network, [one + seed / 1000 for one in row], seed, recipe)
            run.save(path / "runs" / f"{network}-{recipe}-seed{seed}")
    return path


@pytest.fixture
def runs(tmp_path):
    """Full set: VGG16 is best of four after each of three epochs; subset: the order comes with the second epoch."""
    full = run_folder(
        tmp_path / "full",
        np.array([[4, 5, 6], [6, 7, 8], [3, 4, 5], [1, 2, 3]]) / 10,
        seeds=(0, 1),
        images=(4000, 1000),
    )
    part = run_folder(tmp_path / "part", np.array([[3, 4], [2, 5], [1, 3], [0, 2]]) / 10, seeds=(0, 1))
    return full, part


def test_trainings_of_what_an_earlier_version_called_so_are_left_out_and_told(runs, tmp_path, capsys):
    for folder in runs:
        for path in (folder / "runs").glob("MAFNet-*/result.json"):
            path.write_text(path.read_text().replace('"network_definition"', '"earlier"'))
    assert main(["quality", *map(str, runs), "--out", str(tmp_path / "out"), "--order-tau", "1"]) == 0
    assert set(Quality.load(tmp_path / "out" / "quality.json").networks) == {"ResNet18", "VGG16", "GoogLeNet"}
    assert "2 trainings are of networks as an earlier version defined them" in capsys.readouterr().err


def test_run_folders_are_judged_with_their_seeds_epochs_and_images(runs, tmp_path, capsys):
    out = tmp_path / "out"
    assert main(["quality", *map(str, runs), "--out", str(out), "--order-tau", "1"]) == 0
    made = Quality.load(out / "quality.json")
    assert (made.reference.name, made.networks) == ("full", tuple(sorted(NETWORKS)))
    assert (made.reference.num_seeds, made.reference.val_images, made.reference.cost) == (2, 1000, 12_000)
    (part,) = made.sets
    assert part.measured.resolution.val_images == 100 and part.measured.resolution.seeds == 2
    assert part.measured.resolution.val_share_for_target == part.measured.resolution.images_for_target / 500
    assert (part.measured.protocol.first_epoch, part.measured.protocol.images) == (2, 800)
    assert (made.reference.protocol.first_epoch, made.reference.protocol.images) == (1, 4000)
    assert part.tau.value == 1
    shown = capsys.readouterr().out
    assert "noise below" in shown and "seed ceiling" in shown and "order holds" in shown


def test_a_folder_in_which_another_command_works_is_not_even_read(runs, capsys):
    full, part = runs
    with RunFolder(full).held("select"):
        assert main(["quality", str(full), str(part), "--out", str(full)]) == 1
    shown = capsys.readouterr()
    assert f"{full} is in use by" in shown.err and not shown.out
    assert not (full / "quality.json").exists() and not (full / "quality.html").exists()


def test_from_python_the_same_folders_give_the_same(runs, tmp_path):
    assert main(["quality", *map(str, runs), "--out", str(tmp_path / "out")]) == 0
    assert rf.quality(runs) == Quality.load(tmp_path / "out" / "quality.json")


def test_the_table_that_train_leaves_is_judged(runs, tmp_path):
    cells = []
    for folder in runs:
        found = [TrainRun.load(path.parent) for path in sorted(folder.glob("runs/*/result.json"))]
        of = {network: tuple(run for run in found if run.network == network) for network in NETWORKS}
        cells += [Cell(network, folder.name, trained) for network, trained in of.items()]
    write_table(cells, "title", tmp_path / "table-fast")
    of_table, of_runs = rf.quality(tmp_path / "table-fast.csv", recipe="fast"), rf.quality(runs)
    for given in (tmp_path / "table-fast.csv", runs):
        with pytest.raises(SettingError, match="--names: would have no effect, as these are trainings"):
            rf.quality(given, names=["network"])
        with pytest.raises(SettingError, match="networks: would have no effect, as files name theirs"):
            rf.quality(given, NETWORKS)
    with pytest.raises(SettingError, match="there is no set 'nope'; there are full, part"):
        rf.quality(tmp_path / "table-fast.csv", sets=["nope"])
    assert of_table.reference.num_seeds == 2
    assert of_table.sets[0].tau.value == of_runs.sets[0].tau.value
    of = dict(zip(of_table.networks, of_table.reference.accuracies, strict=True))
    assert of == pytest.approx(dict(zip(of_runs.networks, of_runs.reference.accuracies, strict=True)))


def test_trainings_on_an_earlier_subset_or_by_another_recipe_are_not_mixed_in(runs, tmp_path, capsys):
    _, part = runs
    before = rf.quality(runs)
    training("ResNet18", [0.99], digests=DIGESTS | {"val": "xxh3-128-mib:02"}).save(part / "runs" / "old-fast-seed0")
    assert rf.quality(runs) == before
    training("ResNet18", [0.99], recipe="rein").save(part / "runs" / "ResNet18-rein-seed0")
    assert main(["quality", *map(str, runs)]) == 2
    assert "its trainings are by the recipes fast, rein. Choose one with --recipe" in capsys.readouterr().err
    assert rf.quality(runs, recipe="fast").sets == before.sets
    assert main(["quality", *map(str, runs), "--recipe", "chrabaszcz"]) == 2
    shutil.rmtree(part / "runs")
    assert main(["quality", *map(str, runs)]) == 1
    assert "holds no finished trainings. `rescale-fast train --out" in capsys.readouterr().err


def test_trainings_of_different_lengths_are_refused_or_left_out(runs, capsys):
    _, part = runs
    training("VGG16", [0.2], seed=1).save(part / "runs" / "VGG16-fast-seed1")
    assert main(["quality", *map(str, runs)]) == 2
    assert "'VGG16' has no accuracy on 'part' of seed 1 after epoch 2" in capsys.readouterr().err
    assert main(["quality", *map(str, runs), "--incomplete", "drop"]) == 0
    shown = capsys.readouterr().out
    assert "3 networks, judged by full" in shown and "Left out: VGG16: no accuracy on 'part' of seed 1" in shown


class Page(HTMLParser):
    """What a page shows, and what it would load."""

    def __init__(self, text):
        super().__init__()
        self.shown, self.loads = "", []
        self.feed(text)

    def handle_data(self, data):
        self.shown += data

    def handle_starttag(self, tag, attrs):
        self.loads += [value for name, value in attrs if name in ("src", "href")]


def test_the_page_shows_what_the_file_says_and_stands_by_itself(tmp_path):
    assert main([*ACCEL, "--val-images", "full=50000", "proxy=50000", "--out", str(tmp_path)]) == 0
    made = Quality.load(tmp_path / "quality.json")
    page = Page((tmp_path / "quality.html").read_text(encoding="utf-8"))
    (proxy,) = made.sets
    for text in (*made.advice, proxy.measured.resolution.advise(), f"{proxy.tau.value:.3f}", "seed ceiling"):
        assert text in page.shown, text
    assert f"{100 * proxy.by_gap[0].agreement.value:.0f} [" in page.shown
    assert f"{100 * proxy.measured.resolution.least_significant:.2f}" in page.shown
    assert page.loads and all(one.startswith("data:image/png") for one in page.loads)
    changed = replace(
        made, advice=("Only what is saved is shown.",), sets=(replace(proxy, tau=replace(proxy.tau, value=0.1234)),)
    )
    write_quality_page(changed, tmp_path / "again.html")
    page = Page((tmp_path / "again.html").read_text(encoding="utf-8"))
    assert "Only what is saved is shown." in page.shown and "0.123" in page.shown


def test_a_page_of_anything_that_can_be_judged_can_be_written(tmp_path, rng):
    """One set, many networks, epochs, names that are code."""
    many = {"full": rng.random((300, 2)), "<i>part</i>": rng.random(300)}
    names = [f"$net_{i}<script>" for i in range(300)]
    epochs = {"full": rng.random((5, 2, 7)), "part": rng.random((5, 1, 3)), "other": rng.random((5, 1, 3))}
    made = [
        rf.quality(many, names, draws=100),
        rf.quality({"full": rng.random((4, 3))}),
        rf.quality(epochs, train_images={"full": 900, "part": 90, "other": 10}, random=["other"], draws=100),
        rf.quality({"full": rng.random(5), "part": rng.random((5, 2, 4))}),
    ]
    for number, one in enumerate(made):
        write_quality_page(one, tmp_path / f"{number}.html")
        text = (tmp_path / f"{number}.html").read_text(encoding="utf-8")
        assert "0<script>" not in text and "<i>part" not in text
    assert (tmp_path / "2.html").read_text().count("data:image/png") == 4  # two slope charts, costs, epochs


def test_the_report_of_a_run_shows_its_quality(tmp_path, monkeypatch, capsys):
    """A run folder without the training, then with quality.json."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    out, counts = tmp_path / "out", tmp_path / "counts.npy"
    np.save(counts, np.full((12, 12), 5) + 50 * np.eye(12, dtype=int))
    glyphs = ("--glyph-classes", "12", "--glyph-size", "24", "--glyph-train", "6", "--glyph-val", "4")
    assert main(["run", *glyphs, "--confusion", str(counts), "--k", "3", "--until", "select", "--out", str(out)]) == 0
    assert main([*ACCEL, "--out", str(out)]) == 0
    assert main(["report", "--out", str(out)]) == 0
    page = (out / "report.html").read_text(encoding="utf-8")
    assert "What it is worth for ranking networks" in page and "seed ceiling" in page
    with monkeypatch.context() as without:
        without.setattr("rescale_fast.report.page.is_installed", lambda module: module != "matplotlib")
        assert main(["report", "--out", str(out)]) == 0
    page = (out / "report.html").read_text(encoding="utf-8")
    assert "seed ceiling" not in page and "left out, as matplotlib is not installed" in page
    (out / "quality.json").write_text("{}")
    capsys.readouterr()
    assert main(["report", "--out", str(out)]) == 1
    assert "quality.json: its schema is None" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ([], 2, "quality: needs INPUTS."),
        (["nothing.csv"], 2, "nothing.csv: no such file or folder"),
        (["holes.csv"], 2, "'b' has no accuracy on 'part'"),
        (["flat.csv"], 2, "no order to compare. Leave it out: --sets names those to judge"),
        (["huge.csv"], 2, "huge.csv: column 'full_epoch99999999999999999999': expected a seed or epoch below 10^18"),
        (["two.csv"], 2, "there are 2 networks, expected at least 3"),
        (["bad.csv"], 2, "bad.csv: row 3, column 'part': '448' is no accuracy"),
        (["good.csv", "--reference", "ImageNet"], 2, "there is no set 'ImageNet'; there are full, part"),
        (["good.csv", "--names", "model"], 2, "--names model: good.csv has no such column; it has net, full, part"),
        (["good.csv", "--val-images", "full"], 2, "--val-images full: expected SET=NUMBER, such as full=50000"),
        (["good.csv", "--val-images", "full=5", "full=6"], 2, "--val-images full=6: full has a number already, 5"),
        (["good.csv", "--random", "full"], 2, "full: has two roles"),
        (["good.csv", "--sets", "nope"], 2, "there is no set 'nope'; there are full, part"),
        (
            ["good.csv", "--sets", "part", "--val-images", "full=9"],
            2,
            "full: its number of images would have no effect",
        ),
        (["good.csv", "--recipe", "fast"], 2, "--recipe: would have no effect, as none of these is a run folder, or"),
        (["good.csv", "--draws", "3"], 2, "--draws 3: expected a whole number"),
        (["good.csv", "--out", "good.csv"], 2, "--out good.csv: exists, but is no run folder"),
        (["empty"], 1, "empty: holds no finished trainings"),
        (["picture.png"], 1, "picture.png: not readable as a CSV"),
    ],
)
def test_wrong_usage_and_bad_files_end_in_one_message(tmp_path, monkeypatch, capsys, arguments, code, message):
    monkeypatch.chdir(tmp_path)
    Path("two.csv").write_text("net,full,part\na,50,40\nb,60,50\n")
    Path("bad.csv").write_text("net,full,part\na,50,40\nb,60,448\nc,70,60\n")
    Path("holes.csv").write_text("net,full,part\na,50,40\nb,60,\nc,70,60\n")
    Path("flat.csv").write_text("net,full,random\na,50,40\nb,60,40\nc,70,40\n")
    Path("huge.csv").write_text(f"net,full_epoch{10**20 - 1},part\na,50,40\nb,60,48\nc,70,60\n")
    Path("good.csv").write_text("net,full,part\na,50,40\nb,60,48\nc,70,60\n")
    Path("picture.png").write_bytes(b"\x89PNG\r\n\x1a\n\0\0,\xff\n")
    Path("empty").mkdir()
    assert main(["quality", *arguments]) == code
    error = capsys.readouterr().err
    assert message in error and "Traceback" not in error


def test_the_json_of_compare_says_what_each_subset_tells_apart(tmp_path, capsys):
    np.save(tmp_path / "counts.npy", np.full((4, 4), 25) + 50 * np.eye(4, dtype=int))
    (tmp_path / "list.txt").write_text("0\n2\n3\n")
    made = tmp_path / "made.json"
    given = ["--confusion", str(tmp_path / "counts.npy"), str(tmp_path / "list.txt"), "--json", str(made)]
    assert main(["compare", *given]) == 0
    (row,) = json.loads(made.read_text())["subsets"]
    expected = rf.resolution(3 * 150, accuracy=0.5)
    assert row["images"] == 450
    assert row["resolution"]["least_significant"] == expected.least_significant
    assert re.search(rf"\b{100 * expected.least_significant:.2f}\b", capsys.readouterr().out)


def test_quality_needs_no_torch():
    code = (
        "import sys; from rescale_fast.run.commands import main; "
        f"assert main({ACCEL!r}) == 0; assert 'torch' not in sys.modules, 'torch'"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
