"""The table of networks and subsets, and the command that fills it."""

import csv
import io
import json
import logging
import subprocess
import sys
from dataclasses import replace

import pytest
from PIL import Image

from rescale_fast.artifact import Origin
from rescale_fast.class_subset.published import PUBLISHED
from rescale_fast.class_subset.types import ClassSubset
from rescale_fast.errors import ArtifactError
from rescale_fast.networks.own import short_name
from rescale_fast.networks.registry import TABLE
from rescale_fast.run.commands import main
from rescale_fast.run.folder import RunFolder
from rescale_fast.run.training import whole_list
from rescale_fast.train.checkpoint import load_checkpoint, save_checkpoint
from rescale_fast.train.plan import plan_training, training_origin
from rescale_fast.train.published import published_beside, published_top1
from rescale_fast.train.settings import TrainSettings
from rescale_fast.train.table import Cell, markdown, write_table
from rescale_fast.train.types import TrainRun
from tests.colours import write_colours
from tests.conftest import ROOT

pytestmark = pytest.mark.usefixtures("one_thread")

QUICK = ("--epochs", 2, "--train-batch-size", 8, "--device", "cpu", "--num-threads", 1, "--loader", "dali")


@pytest.fixture
def here(capsys):
    """Runs a command line in this process; gives (exit code, stdout, stderr)."""

    def call(*arguments):
        code = main([str(one) for one in arguments])
        logging.captureWarnings(False)
        return code, *capsys.readouterr()

    return call


def run(network, seed, *accuracies, reported=None, origin=Origin({}, {})):
    epochs = tuple({"epoch": number, "val_top1": value} for number, value in enumerate(accuracies, 1))
    return TrainRun(origin, network, 1000, 30, 224, "rein", seed, reported, epochs)


TWO_SEEDS = (run("ResNet18", 0, 0.40, 0.50, 0.44), run("ResNet18", 1, 0.40, 0.40, 0.46))
CELLS = [
    Cell("ResNet18", "ReIN30", TWO_SEEDS, published=0.4767),
    Cell("ResNet18", "mine", (run("ResNet18", 0, 0.25, 0.125),)),
    Cell("VGG16", "ReIN30", (), "the loss is no longer a number."),
    Cell("VGG16", "mine", (run("VGG16", 0, 0.2, 0.3, reported=1),)),
]


def test_last_and_best_epoch_get_a_table_each_and_published_stand_beside_the_best_alone():
    assert markdown(CELLS, "Title").splitlines() == [
        "# Title",
        "",
        "## Top-1 on val, %, last epoch",
        "",
        "| network | ReIN30 | mine |",
        "| --- | --- | --- |",
        "| ResNet18 | 45.00 ± 1.41 | 12.50 |",
        "| VGG16 | - | 30.00 |",
        "",
        "## Top-1 on val, %, best epoch",
        "",
        "| network | ReIN30 | mine |",
        "| --- | --- | --- |",
        "| ResNet18 | 48.00 ± 2.83 (47.67) | 25.00 |",
        "| VGG16 | - | 30.00 |",
        "",
        "## Top-1 on val, %, epoch 1",
        "",
        "| network | ReIN30 | mine |",
        "| --- | --- | --- |",
        "| ResNet18 | - | - |",
        "| VGG16 | - | 20.00 |",
        "",
        "After the sign: the deviation over seeds.",
        "",
        "In brackets: published, best epoch, one seed (Nguyen and Nguyen, Pattern Recognition Letters 185, 73-80 "
        "(2024), doi 10.1016/j.patrec.2024.07.001).",
        "",
        "Not trained:",
        "",
        "- VGG16 on ReIN30: the loss is no longer a number.",
    ]


def test_published_accuracies_are_known_for_the_whole_table():
    networks, subsets = ({key[i] for key in published_top1()} for i in (0, 1))
    assert networks == set(TABLE)
    assert subsets == {*(f"ReIN{k}" for k in (30, 50, 100, 150, 200)), "RePL30", "RePL50", "ImageNet", "Places365"}
    assert published_top1()["VGG16", "RePL50"] == pytest.approx(0.5224)


PLAN = TrainSettings(train_network="MobileNetV2", recipe="rein", train_size=224)
OTHERS = {
    "another recipe": {"recipe": "fast"},
    "fewer epochs": {"epochs": 90},
    "a smaller batch": {"train_batch_size": 128},
    "another augmentation": {"augment": "shift"},
    "smaller images": {"train_size": 192},
    "torchvision's": {"train_network": "torchvision:mobilenet_v2"},
    "torchvision's, for short": {"train_network": "mobilenet_v2"},
    "not published": {"train_network": "InceptionV4"},
}


@pytest.fixture(scope="module")
def infos(tmp_path_factory):
    """Those of both betons of colours."""
    return write_colours(tmp_path_factory.mktemp("colours"))[1]


def planned(infos, **settings):
    """A run of a training as the command line plans it."""
    training = plan_training(replace(PLAN, **settings), infos["train"], "folder")
    return run(short_name(training.network), 0, 0.5, origin=training_origin(training, infos))


@pytest.mark.parametrize("network", [name for name in TABLE if name != "InceptionV4"])
def test_a_published_figure_stands_beside_its_network_trained_by_its_recipe(infos, network):
    made = planned(infos, train_network=network.lower())
    assert published_beside(made, "ReIN50") == published_top1()[network, "ReIN50"]
    assert published_beside(made, "mine") is None


@pytest.mark.parametrize("other", OTHERS)
def test_a_published_figure_stands_beside_no_other_training(infos, other):
    assert published_beside(planned(infos, **OTHERS[other]), "ReIN50") is None


def test_own_code_of_a_published_networks_name_gets_no_figure_and_is_reported(infos, tmp_path):
    (tmp_path / "nets.py").write_text(
        "from torch import nn\ndef MobileNetV2(num_classes): return nn.LazyConv2d(num_classes, 9)"
    )
    made = planned(infos, train_network=f"{tmp_path / 'nets.py'}:MobileNetV2")
    assert (made.network, made.is_current) == ("MobileNetV2", True)
    assert published_beside(made, "ReIN50") is None
    digests = {split: info.digest for split, info in infos.items()}
    assert made.is_on(digests)
    assert not made.is_on(digests | {"val": "another"})


@pytest.mark.parametrize("network", ["MobileNetV2", "GoogLeNet", "WRN-16-1"])
def test_trainings_of_what_an_earlier_version_called_so_are_not_taken_for_todays(infos, network, tmp_path):
    made = planned(infos, train_network=network)
    before = {key: value for key, value in made.origin.config.items() if key != "network_definition"}
    old = replace(made, origin=replace(made.origin, config=before))
    assert (made.is_current, old.is_current) == (True, False)
    assert published_beside(old, "ReIN50") is None
    save_checkpoint(tmp_path / "c.pt", old.origin, [{"epoch": 1, "val_top1": 0.5, "train_loss": 1.0}], 0.0, {})
    with pytest.raises(ArtifactError, match="of another training, .*: network_definition None there, 2 here"):
        load_checkpoint(tmp_path / "c.pt", made.origin)


@pytest.mark.parametrize("network", ["ShuffleNetV2", "VGG16", "small", "torchvision:mobilenet_v2"])
def test_trainings_of_networks_that_stayed_the_same_are_still_good(infos, network):
    assert "network_definition" not in planned(infos, train_network=network).origin.config


IN_PART = {
    "whole": ({}, {}, "ReIN30"),
    "one file that could not be read": ({}, {"images_per_class": (49, *[50] * 29), "skipped": 1}, "ReIN30"),
    "fewer training images": ({"images_per_class": (500,) * 30}, {}, None),
    "fewer validation images": ({}, {"images_per_class": (40,) * 30}, None),
    "more validation images": ({}, {"images_per_class": (130,) * 30}, None),
    "fewer classes": ({"class_ids": 29}, {"class_ids": 29}, None),
}


@pytest.mark.parametrize("case", IN_PART)
def test_a_published_list_is_whole_with_all_its_images(tmp_path, infos, case):
    """Whatever the folder is called."""
    folder = RunFolder(tmp_path / "ReIN50")
    *changes, expected = IN_PART[case]
    for split, number, changed in zip(("train", "val"), (1300, 50), changes, strict=True):
        ids = PUBLISHED["ReIN30"].class_ids[: changed.get("class_ids", 30)]
        each = changed.get("images_per_class", (number,) * len(ids))
        info = replace(
            infos[split],
            num_images=sum(each),
            class_ids=ids,
            class_names=ids,
            original_labels=tuple((label,) for label in range(len(ids))),
            images_per_class=each,
            skipped=({"path": "a.jpg", "reason": "torn"},) * changed.get("skipped", 0),
        )
        info.save(folder.beton(split).with_suffix(".json"))
    assert whole_list(folder) == expected


def test_csv_has_a_line_a_run_and_the_plot_is_a_picture(tmp_path):
    write_table(CELLS, "Title", tmp_path / "table-rein")
    rows = list(csv.DictReader(io.StringIO((tmp_path / "table-rein.csv").read_text())))
    assert [(row["network"], row["subset"], row["seed"]) for row in rows] == [
        ("ResNet18", "ReIN30", "0"),
        ("ResNet18", "ReIN30", "1"),
        ("ResNet18", "mine", "0"),
        ("VGG16", "mine", "0"),
    ]
    assert [row["top1 best epoch"] for row in rows] == ["0.500000", "0.460000", "0.250000", "0.300000"]
    assert [row["best_epoch"] for row in rows] == ["2", "3", "1", "2"]
    assert [row["published top1 best epoch"] for row in rows] == ["0.4767", "0.4767", "", ""]
    with Image.open(tmp_path / "table-rein.png") as picture:
        assert picture.width > 600


@pytest.fixture(scope="module")
def subsets(tmp_path_factory):
    """Two run folders with nothing but betons; the classes of one are a published list."""
    out = tmp_path_factory.mktemp("grid")
    write_colours(out / "mine")
    write_colours(out / "other", seed=1)
    chosen = ClassSubset(
        Origin({}, {"published": "ReIN30"}), "published", 1000, (0, 1, 2), ("a", "b", "c"), ("",) * 3, {}
    )
    chosen.save(out / "other" / "class_subset.json")
    return out


def test_a_grid_is_trained_goes_on_where_it_stopped_and_is_compared(here, subsets):
    grid = ("--networks", "wrn-10-0.5,MobileNetV1", "--subsets", "mine,other", "--seeds", 2)
    code, stdout, stderr = here("train", "--out", subsets, *grid, *QUICK)
    assert code == 0, stderr
    assert "| network | mine | ReIN30 |" in stdout
    assert "46.53" not in stdout, "MobileNetV1's figure on ReIN30, which this is a small part of, and `fast`"
    assert stdout == (subsets / "table-fast.md").read_text() + "\n"
    names = [f"{network}-fast-dali-seed{seed}" for network in ("MobileNetV1", "WRN-10-0.5") for seed in (0, 1)]
    assert sorted(path.name for path in (subsets / "mine" / "runs").iterdir()) == names
    for path in (subsets / "mine" / "runs").iterdir():
        assert sorted(file.name for file in path.iterdir()) == ["log.jsonl", "result.json", "weights.pt"]
    (subsets / "other" / "runs" / names[0] / "result.json").unlink()
    of_earlier = subsets / "other" / "runs" / names[2] / "result.json"
    of_earlier.write_text(of_earlier.read_text().replace('"network_definition"', '"earlier"'))
    code, again, stderr = here("train", "--out", subsets, *grid, *QUICK)
    assert code == 0, stderr
    assert (stderr.count("train  "), stderr.count("(reused)")) == (8, 6)
    assert again == stdout, "the same seed gives the same numbers"


def test_a_cell_that_fails_leaves_its_reason_and_the_others_go_on(here, subsets, tmp_path):
    (tmp_path / "mine").symlink_to(subsets / "mine")
    grid = ("--networks", "InceptionV4,wrn-10-0.5", "--subsets", "mine", "--learning-rate", "1e30")
    code, stdout, stderr = here("train", "--out", tmp_path, *grid, *QUICK)
    assert code == 1
    assert "InceptionV4 cannot tell classes on images of 16 px. Pass --train-size 75" in stderr
    grid = ("--networks", "wrn-10-0.5,wrn-10-1", *grid[2:])
    code, stdout, stderr = here("train", "--out", tmp_path, *grid, *QUICK)
    assert code == 1
    assert "2 of 2 cells of the table could not be trained; first WRN-10-0.5 on mine" in stderr
    assert "- WRN-10-1 on mine: WRN-10-1: the loss is no longer a number" in stdout


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("--networks", ","), 2, "expected names, such as ResNet18"),
        (("--networks", "all", "--train-network", "small"), 2, "give one of them"),
        (("--networks", "wrn-10-0.5,nonsense"), 2, "no network is called 'nonsense'"),
        (("--networks", "wrn-10-0.5,wrn-11-1"), 2, "WRN-11-1: there is no such wide residual network"),
        (("--seeds", "3", "--seed", str(2**63 - 2)), 2, "--seeds 3: with --seed"),
        (("--subsets", "mine,none"), 1, "none/train.beton: not there yet. `rescale-fast run --out"),
        (("--subsets", "mine,mine"), 2, "hold the same published subset, or have the same name"),
        (("--seeds", "0"), 2, "--seeds 0"),
        (("--recipe", "slow"), 2, "slow"),
    ],
)
def test_bad_grids_end_in_one_message(here, subsets, arguments, code, message):
    got, _, stderr = here("train", "--out", subsets, *arguments, *QUICK)
    assert message in " ".join(stderr.split()), stderr
    assert got == code
    assert "Traceback" not in stderr


def test_what_is_no_beton_or_another_one_ends_in_one_message(here, tmp_path):
    write_colours(tmp_path)
    good = {name: (tmp_path / name).read_bytes() for name in ("train.beton", "train.json")}
    info = json.loads(good["train.json"])
    bad = [
        ("train.beton", b"not a beton at all", "is no sound beton"),
        (
            "train.beton",
            good["train.beton"].replace(b"label\0", b"index\0", 1),
            "expected a field of integers, such as 'label'",
        ),
        ("train.json", b"{", "not readable as JSON"),
        ("train.json", json.dumps(info | {"schema": "beton_info/9"}).encode(), "its schema is 'beton_info/9'"),
        ("train.json", json.dumps(info | {"classes": info["classes"][:2]}).encode(), "val.beton 3 from 'a' to 'c'"),
    ]
    for name, content, message in bad:
        (tmp_path / name).write_bytes(content)
        code, _, stderr = here("train", "--out", tmp_path, *QUICK)
        (tmp_path / name).write_bytes(good[name])
        assert code == 1
        assert message in " ".join(stderr.split()), stderr
        assert "Traceback" not in stderr
    code, _, stderr = here("train", "--out", tmp_path, *QUICK, "--recipe", "chrabaszcz", "--train-batch-size", 128)
    assert (code, "--train-batch-size 128: there are" in stderr) == (2, True)


def test_torchrun_trains_through_ffcv_and_the_first_rank_alone_speaks(command, tmp_path):
    write_colours(tmp_path)
    arguments = ("train", "--out", tmp_path, "--train-network", "WRN-10-0.5", *QUICK[:-2])
    launcher = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--nproc-per-node",
        2,
        "--standalone",
        "-m",
        "rescale_fast",
    ]
    program = list(map(str, [*launcher, *arguments]))
    for again in (False, True):
        done = subprocess.run(program, cwd=ROOT, env=command.environment, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr
        assert done.stderr.count("WRN-10-0.5 (fast, seed 0)") == 1
        assert ("(reused)" in done.stderr) == again
    log = [json.loads(line) for line in (tmp_path / "runs/WRN-10-0.5-fast-seed0/log.jsonl").read_text().splitlines()]
    assert [(epoch["epoch"], epoch["ranks"]) for epoch in log] == [(1, 2), (2, 2)]


def test_tensorboard_gets_each_epoch(here, tmp_path):
    pytest.importorskip("tensorboard")
    write_colours(tmp_path)
    arguments = ("--train-network", "WRN-10-0.5", "--tensorboard", *QUICK)
    code, _, stderr = here("train", "--out", tmp_path, *arguments)
    assert code == 0, stderr
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(tmp_path / "runs/WRN-10-0.5-fast-dali-seed0/tensorboard"))
    events.Reload()
    log = (tmp_path / "runs/WRN-10-0.5-fast-dali-seed0/log.jsonl").read_text().splitlines()
    assert [event.step for event in events.Scalars("val_top1")] == [1, 2]
    values = [event.value for event in events.Scalars("val_top1")]
    assert values == pytest.approx([json.loads(line)["val_top1"] for line in log])
