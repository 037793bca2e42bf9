"""A wrong setting ends a command before its first stage: exit code 2, and a message that names the option."""

import dataclasses
import sys

import numpy as np
import pytest
import torch
from PIL import Image

from rescale_fast.errors import SettingError
from rescale_fast.networks.build import build_network
from rescale_fast.run import selecting, stages
from rescale_fast.run.commands import COMMANDS, main
from rescale_fast.run.settings import RunSettings, SelectCommand
from rescale_fast.settings import Settings
from rescale_fast.train.recipe import OneCycle


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A data set of 4 classes with 3 train and 2 val images each, one without train, and files of all kinds."""
    place = tmp_path_factory.mktemp("place")
    for split, count in (("train", 3), ("val", 2)):
        for name in "abcd":
            for i in range(count):
                path = place / "set" / split / name / f"{i}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.new("RGB", (16, 16), (40 * i, ord(name), 90)).save(path)
    (place / "val_only").mkdir()
    (place / "val_only" / "val").symlink_to(place / "set" / "val")
    torch.save(build_network("small", 4).state_dict(), place / "w.pt")
    (place / "list.txt").write_text("a\nb\n")
    (place / "foreign.txt").write_text("a\nn01440764\n")
    (place / "foreign.csv").write_text("a,x\nn01440764,y\n")
    (place / "text.parquet").write_text("no parquet")
    np.savez(place / "c.npz", counts=np.ones((4, 4), int), class_ids=np.array(list("abcd")))
    return place


STAGES = (
    (stages, "validate"),
    (stages, "confuse"),
    (stages, "take_confusion"),
    (selecting, "select"),
    (selecting, "group"),
)


@pytest.fixture
def refused(place, tmp_path, monkeypatch, capsys):
    """Runs a command that must be refused before any stage; gives what it said."""

    def run(name, *arguments):
        for part, stage in STAGES:
            monkeypatch.setattr(part, stage, lambda *_, stage=stage, **__: pytest.fail(f"{stage} ran"))
        words = [str(word).replace("PLACE", str(place)) for word in arguments]
        code = main([name, *words])
        message = capsys.readouterr().err
        assert code == 2, message
        assert not (tmp_path / "out").exists()
        assert message.startswith("error: "), message
        assert message.count("\n") == 1, message
        return message

    return run


USUAL = ("--dataset", "folder", "--root", "PLACE/set", "--network", "small", "--weights", "PLACE/w.pt")
NO_TRAIN = ("--root", "PLACE/val_only")
DATA = ("--dataset", "folder", "--root", "PLACE/set", "--k", "2", "--train-batch-size", "4")
REFUSED = [
    # impossible by themselves
    ("--epochs 0", "--epochs 0"),
    ("--quality 900", "--quality 900"),
    ("--recipe nonsense", "--recipe"),
    ("--published NOPE", "NOPE"),
    ("--batch-size 7", "--batch-size 7: expected a divisor of 1,024"),
    ("--train-batch-size 1", "--train-batch-size 1"),
    ("--learning-rate nan", "--learning-rate nan"),
    ("--train-size 4", "--train-size 4"),
    ("--seconds inf --effort prove", "--seconds inf"),
    ("--vote-pool nan --method validation-outcomes", "--vote-pool nan"),
    ("--num-threads -2", "--num-threads -2"),
    ("--max-side 70000", "--max-side 70000"),
    ("--per-class 0", "--per-class 0"),
    ("--val-share 1", "--val-share 1.0"),
    ("--glyph-size 20", "--glyph-size: would have no effect, as --dataset is folder"),
    # files that are not there, or are none
    ("--classes PLACE/no.txt", "--classes"),
    ("--corrections PLACE/no.csv", "--corrections"),
    ("--k 2 --train-batch-size 4 --corrections PLACE/text.parquet", "text.parquet"),
    ("--weights PLACE/no.pt", "--weights"),
    ("--scores PLACE/no.parquet --images difficulty --per-class 2", "--scores"),
    ("--grouping wordnet --num-groups 2 --wordnet PLACE/no.noun", "--wordnet"),
    ("--grouping PLACE/no.csv", "--grouping"),
    # what does not fit the data set
    ("--k 5", "--k 5: expected 2 to 4"),
    ("--classes PLACE/foreign.txt", "foreign.txt, line 2: 'n01440764' is no class"),
    ("--published ReIN30", "ReIN30"),
    ("--grouping confused --num-groups 5", "--num-groups 5: expected 2 to 4"),
    ("--grouping PLACE/foreign.csv", "foreign.csv, line 2: 'n01440764' is no class"),
    ("--grouping coarse67", "coarse67"),
    ("--configuration N10-M5000", "--configuration N10-M5000: there are 4 classes"),
    ("--per-class 4 --k 2", "--per-class: 4 training images of each class are wanted; 2 classes of set have at most 3"),
    (
        "--per-class 2 --k 2 --train-batch-size 9 --recipe chrabaszcz",
        "--train-batch-size 9: there are 4 training images",
    ),
    ("--k 2 --recipe chrabaszcz", "--train-batch-size 128 (of --recipe chrabaszcz): there are 6 training images"),
    ("--k 2 --images difficulty --per-class 2 --root PLACE/val_only", "--images difficulty"),
    ("--k 2 --val-share 0.5 --root PLACE/val_only", "--val-share"),
    ("--k 2 --train-network nonsense", "nonsense"),
    ("--k 2 --train-network timm:nonsense", "nonsense"),
    ("--k 2 --train-network WRN-3-1", "WRN-3-1"),
    ("--k 2 --train-batch-size 4 --train-network VGG16 --train-size 8", "--train-size 8: VGG16 cannot"),
    ("--k 2 --train-network WRN-28-1000000", "WRN-28-1000000"),
    ("--k 2 --train-batch-size 4 --label-errors list --score-network nonsense", "nonsense"),
    # what another setting leaves without effect
    ("--k 3 --classes PLACE/list.txt", "--k: would have no effect, as --classes says which"),
    ("--classes PLACE/list.txt --published ReIN30", "give one of them"),
    ("--grouping confused --num-groups 2 --k 3", "--k: would have no effect, as classes are grouped"),
    ("--num-groups 3", "--num-groups: would have no effect"),
    ("--rule errors+half", "--rule: would have no effect, as --method is max-confusion"),
    ("--method random --effort prove", "--effort: would have no effect, as --method is random"),
    ("--seconds 5", "--seconds: would have no effect, as --effort is fast"),
    ("--store resize --scale 4/8", "--scale: would have no effect, as --store is resize"),
    ("--resize-side 64", "--resize-side: would have no effect, as --store is auto"),
    ("--score-epochs 3", "--score-epochs: would have no effect"),
    ("--scores PLACE/text.parquet", "--scores: would have no effect"),
    ("--evenly-over set", "--evenly-over: would have no effect"),
    ("--configuration N10-M5000 --per-class 3", "give one of them"),
    ("--configuration N10-M5000 --k 3", "--k: would have no effect, as --configuration says how many"),
]


@pytest.mark.parametrize(("arguments", "message"), REFUSED)
def test_a_run_that_cannot_end_does_not_begin(refused, tmp_path, arguments, message):
    said = refused("run", *USUAL, *arguments.split(), "--out", tmp_path / "out")
    assert message in said


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("--predictions PLACE/no", "--predictions"),
        ("--confusion PLACE/no.npz", "--confusion"),
        ("--confusion PLACE/c.npz --network small", "--network: would have no effect, as --confusion is given"),
        ("--confusion PLACE/c.npz --predictions PLACE/set", "--predictions: would have no effect"),
        ("--confusion PLACE/c.npz --images sensitive", "needs --predictions"),
        ("--predictions PLACE/set --loader torchvision", "--loader: would have no effect"),
        ("", "--dataset folder: no network is known"),
    ],
)
def test_a_run_on_results_made_elsewhere_that_cannot_end_does_not_begin(refused, tmp_path, arguments, message):
    assert message in refused("run", *DATA, *arguments.split(), "--out", tmp_path / "out")


def test_scores_that_are_no_parquet_are_found_out_before_the_first_stage(place, tmp_path, capsys):
    """A file that is damaged is no wrong usage: exit code 1, but as early."""
    wanted = ("--confusion", place / "c.npz", "--images", "difficulty", "--per-class", 2)
    words = [str(word).replace("PLACE", str(place)) for word in (*DATA, *wanted, "--scores", place / "text.parquet")]
    assert main(["run", *words, "--out", str(tmp_path / "out")]) == 1
    assert "text.parquet" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
@pytest.mark.parametrize("name", [name for name in COMMANDS if name not in ("doctor", "report", "compare", "evaluate")])
def test_a_gpu_that_is_not_there_is_missed_at_once(refused, tmp_path, name):
    fields = {field.name for field in dataclasses.fields(COMMANDS[name].settings)}
    if "machine" not in fields:
        return
    data = USUAL if "dataset" in fields else ()
    assert "--device cuda: torch finds no usable GPU" in refused(
        name, *data, "--device", "cuda", "--out", tmp_path / "out"
    )


def test_a_network_whose_package_is_missing_is_found_out_at_once(refused, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "timm", None)
    for network in ("timm:resnet18", "InceptionV4"):
        said = refused("run", *USUAL, "--k", 2, "--train-network", network, "--out", tmp_path / "out")
        assert "the package timm is not installed" in said


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("cut PLACE/c.npz --target x", "by one of --classes FILE, --rows FILE and --drop FILE"),
        ("cut PLACE/no.beton --target x --rows PLACE/list.txt", "no.beton"),
        ("merge PLACE/no.beton PLACE/c.npz --target x", "no.beton"),
        ("append PLACE/c.npz PLACE/no.beton", "no.beton"),
        ("relabel PLACE/c.npz --target x --labels PLACE/list.txt --groups PLACE/list.txt", "either with --groups"),
        ("check PLACE/no.beton", "no.beton"),
        ("check PLACE/c.npz --num-threads -1", "--num-threads -1"),
        ("evaluate --truth PLACE/no.txt --guesses PLACE/list.txt", "--truth"),
        ("evaluate --truth PLACE/list.txt", "either with --guesses FILE or with --predictions PATH"),
        ("compare ReIN30 --confusion PLACE/no.npz", "--confusion"),
        ("downsample --share 8/8", "--share 8/8: expected I/N"),
        ("downsample --side 0", "--side 0"),
        ("downsample --images PLACE/text.parquet --classes PLACE/list.txt", "give one of them"),
        ("downsample --filter nearest --decode fast", "--decode fast"),
        ("export --out PLACE/run --form folder --store raw", "--store: would have no effect, as --form folder"),
        ("export --out PLACE/run --link hard", "--link: would have no effect, as --form is beton"),
        ("train --out PLACE/run --networks ResNet18 --train-network small", "give one of them"),
        ("train --out PLACE/run --seeds 0", "--seeds 0"),
        ("train --out PLACE/run --subsets ,", "--subsets"),
        ("train --out PLACE/run --networks ,", "--networks"),
        ("sample --out PLACE/run --scores PLACE/text.parquet", "--scores: would have no effect"),
        ("group --out PLACE/run --grouping wordnet --group-seed 3", "--group-seed: would have no effect"),
        ("select --out PLACE/run --k 1", "--k 1"),
        ("select --out PLACE/run --search-seed -1", "--search-seed -1"),
        ("select --out PLACE/run --confusion PLACE/no.npz", "--confusion"),
        ("confuse --out PLACE/run --predictions PLACE/no", "--predictions"),
        ("score --out PLACE/run --score-epochs 0", "--score-epochs 0"),
    ],
)
def test_other_commands_refuse_at_once_too(refused, command, message):
    assert message in refused(*command.split())


def all_settings(kind=Settings):
    for one in kind.__subclasses__():
        if one.__module__.startswith("rescale_fast"):
            yield one
            yield from all_settings(one)


NEEDED = {"subsets": ("x",), "sources": ("x",), "inputs": ("x",), "extra": ("x",), "form": "folder"}
NEEDED |= {"split": "val", "batch_size": 2, "image_size": 8, "augment": "shift", "num_workers": 0, "seed": 0, "rank": 0}
NEEDED |= {"epochs": 1, "learning_rate": 0.1, "schedule": OneCycle(), "weight_decay": 0.0, "every": 1, "factor": 0.5}
NEEDED |= {"num_ranks": 1, "loader": "ffcv", "reuse_buffers": False}


@pytest.mark.parametrize("kind", sorted(all_settings(), key=lambda kind: kind.__name__))
def test_every_option_of_every_command_refuses_what_it_is_not(kind):
    needed = {
        field.name: NEEDED.get(field.name, "x")
        for field in dataclasses.fields(kind)
        if field.default is field.default_factory is dataclasses.MISSING
    }
    for field in dataclasses.fields(kind):
        for odd in (object(), b"bytes", [1], {"a": 1}, np.ones(3), 1j):
            with pytest.raises(SettingError, match=f"--{field.name.replace('_', '-')} "):
                kind(**{**needed, field.name: odd})


def test_every_command_is_made_of_settings_that_check_themselves():
    for command in COMMANDS.values():
        assert issubclass(command.settings, Settings)
        for field in dataclasses.fields(command.settings):
            if dataclasses.is_dataclass(field.default_factory):
                assert issubclass(field.default_factory, Settings), field.name


def test_texts_and_numbers_of_numpy_are_taken_for_what_they_are():
    made = SelectCommand("run", confusion="c.npz")
    assert str(made.out) == "run"
    assert RunSettings(out="~/x").out.is_absolute()
