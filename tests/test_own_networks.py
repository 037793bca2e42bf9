"""Networks by reference to one's own code, from the command line: used, named, told apart, and refused in one line."""

import json
import re

import pytest
import torch

from rescale_fast import choose_classes
from rescale_fast import confusion as count
from rescale_fast.artifact import file_sha256
from rescale_fast.errors import ArtifactError, NetworkError, RescaleError, SettingError, UnknownNetworkError
from rescale_fast.machine import MachineSettings
from rescale_fast.networks.own import code_digest, find_own, is_reference, short_name
from rescale_fast.networks.registry import build_for_training, check_network, check_own, network_names, plain_name
from rescale_fast.run import scoring, stages
from rescale_fast.run.checking import check_score
from rescale_fast.run.commands import main
from rescale_fast.run.folder import RunFolder
from rescale_fast.scores.settings import ScoreSettings
from rescale_fast.train.types import TrainRun

CODE = """
import torch
from torch import nn
from beside import WIDTH

class Pooled(nn.Module):
    def __init__(self, num_classes):
        super().__init__()
        self.last = nn.Linear(WIDTH, num_classes)
    def forward(self, images):
        return self.last(images.mean((2, 3)))

def fixed(): return Pooled(7)
def eight(): return Pooled(8)
def anything(**options): return Pooled(**options)
def looks(num_classes):
    network = Pooled(num_classes)
    network.eval_transform = 24
    return network
def text(num_classes): return "resnet18"
def fails(num_classes): raise KeyError("layer4")
def two(num_classes): return nn.Sequential(Pooled(num_classes), nn.Unflatten(1, (1, -1)))
def large(num_classes): return nn.Sequential(nn.Conv2d(3, 3, 200), Pooled(num_classes))
made = Pooled(8)
number = 5
"""
GLYPHS = ("--glyph-classes", 12, "--glyph-size", 24, "--glyph-train", 20, "--glyph-val", 12, "--k", 8)
QUICK = ("--epochs", 1, "--train-batch-size", 16, "--num-threads", 1, "--loader", "torchvision", "--device", "cpu")


@pytest.fixture
def code(tmp_path):
    """mine.py, which imports a file beside it, and a module of the same text in a package."""
    (tmp_path / "beside.py").write_text("WIDTH = 3\n")
    (tmp_path / "mine.py").write_text(CODE)
    (tmp_path / f"pack_{tmp_path.name}").mkdir()
    (tmp_path / f"pack_{tmp_path.name}" / "__init__.py").write_text("")
    (tmp_path / f"pack_{tmp_path.name}" / "nets.py").write_text(CODE.replace("from beside import WIDTH", "WIDTH = 3"))
    return tmp_path


@pytest.fixture
def cached(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.getbasetemp() / "own-networks-cache"))


def run(*arguments):
    return main([str(argument) for argument in arguments])


@pytest.mark.parametrize("name", ["timm:resnet10t", "torchvision:resnet18", "ResNet18", "WRN-28-2", "small"])
def test_names_of_libraries_are_no_references(name):
    assert not is_reference(name)
    assert short_name(name) == name
    assert code_digest(name) == {}


@pytest.mark.parametrize("called", ["Pooled", "anything"])
def test_a_class_or_function_is_told_the_number_of_classes(code, called):
    network = build_for_training(f"{code}/mine.py:{called}", 5, 16)
    assert network.training
    assert network(torch.zeros(2, 3, 16, 16)).shape == (2, 5)
    assert plain_name(f"{code}/mine.py:{called}") == f"{code}/mine.py:{called}"


def test_a_function_that_takes_no_number_is_called_without_and_must_fit(code):
    assert build_for_training(f"{code}/mine.py:fixed", 7, 16)(torch.zeros(1, 3, 16, 16)).shape == (1, 7)
    with pytest.raises(UnknownNetworkError, match="fixed: gives 7 outputs, and there are 8 classes"):
        build_for_training(f"{code}/mine.py:fixed", 8, 16)


def test_a_module_is_found_from_the_working_folder(code, monkeypatch):
    monkeypatch.chdir(code)
    reference = f"pack_{code.name}.nets:Pooled"
    assert build_for_training(reference, 5, 16)(torch.zeros(1, 3, 8, 8)).shape == (1, 5)
    assert code_digest(reference) == {"network": file_sha256(code / f"pack_{code.name}" / "nets.py")}


def test_a_file_that_changed_is_run_again(code):
    before = find_own(f"{code}/mine.py:fixed")
    (code / "mine.py").write_text(CODE.replace("Pooled(7)", "Pooled(9)"))
    after = find_own(f"{code}/mine.py:fixed")
    assert before.digest != after.digest == file_sha256(code / "mine.py")
    assert after.build(2).last.out_features == 9


def test_two_networks_of_one_name_are_not_put_in_one_table(code):
    assert network_names(f"ResNet18,{code}/mine.py:Pooled") == ("ResNet18", f"{code}/mine.py:Pooled")
    with pytest.raises(SettingError, match="would have one name in the table"):
        network_names(f"{code}/mine.py:Pooled,other:Pooled")


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("CODE/none.py:Net", "none.py:Net: no such file"),
        ("CODE:Net", "is no module and no .py file, expected package.module:callable"),
        ("no_such_module_at_all:Net", "there is no module no_such_module_at_all"),
        ("os.nothing:Net", "there is no module os.nothing"),
        ("CODE/mine.py:Nett", "has no 'Nett'. Callables in it: Pooled, fixed"),
        ("CODE/mine.py:", "has no ''"),
        ("CODE/mine.py:number", "is an object of type int, expected a class or function"),
        ("CODE/mine.py:made", "is an object of type Pooled, expected a class or function"),
        ("CODE/mine.py:text", "gives an object of type str, expected a torch.nn.Module"),
        ("CODE/mine.py:fails", "called with (num_classes=2) it ends with KeyError: 'layer4' (CODE/mine.py, line 21)"),
        ("CODE/mine.py:two", "gives a tensor of shape (1, 1, 2) for one image, expected logits of shape (1, K)"),
        ("CODE/mine.py:large", "on images of 16 px it ends with RuntimeError"),
        ("CODE/syntax.py:Net", "running that file ends with SyntaxError"),
        ("CODE/missing.py:Net", "ends with ModuleNotFoundError: No module named 'nowhere_to_be_found' (CODE/missing"),
        ("CODE/leaves.py:Net", "ends with SystemExit: 3 (CODE/leaves.py, line 2)"),
    ],
)
def test_what_makes_no_network_is_refused_in_one_line(code, reference, message):
    (code / "syntax.py").write_text("def Net(:\n")
    (code / "missing.py").write_text("import nowhere_to_be_found\n")
    (code / "leaves.py").write_text("import sys\nsys.exit(3)\n")
    with pytest.raises(NetworkError) as caught:
        build_for_training(reference.replace("CODE", str(code)), 2, 16)
    assert message.replace("CODE", str(code)) in str(caught.value)


def test_one_file_of_a_bare_folder_is_enough_and_the_search_path_stays(code):
    import sys

    before = list(sys.path)
    check_network(f"{code}/mine.py:Pooled")
    with pytest.raises(RescaleError):
        check_network(f"{code}/mine.py:Other")
    assert sys.path == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--network", "CODE/none.py:Net"), "no such file"),
        (("--network", "CODE/mine.py:fixed"), "fixed: gives 7 outputs, and there are 12 classes"),
        (("--network", "CODE/mine.py:text"), "gives an object of type str"),
        (("--train-network", "CODE/none.py:Net"), "no such file"),
        (("--train-network", "CODE/mine.py:fixed"), "fixed: gives 7 outputs, and there are 8 classes"),
        (("--train-network", "CODE/mine.py:text"), "gives an object of type str"),
        (("--train-network", "CODE/mine.py:fails"), "KeyError: 'layer4'"),
        (("--train-network", "CODE/mine.py:two"), "gives a tensor of shape (1, 1, 8) for one image"),
        (
            ("--train-network", "CODE/mine.py:large", "--train-size", 24),
            "--train-size 24: CODE/mine.py:large: on images",
        ),
    ],
)
def test_a_run_refuses_before_its_first_stage(code, cached, capsys, monkeypatch, arguments, message):
    monkeypatch.setattr(stages, "validate", lambda *_, **__: pytest.fail("validate ran"))
    words = [str(word).replace("CODE", str(code)) for word in arguments]
    assert run("run", *GLYPHS, "--out", code / "out", "--train-batch-size", 16, *words) == 2
    said = capsys.readouterr().err
    assert re.fullmatch(r"error: .*\n", said), said
    assert message.replace("CODE", str(code)) in said
    assert not (code / "out").exists()


@pytest.mark.slow
def test_a_network_of_ones_own_looks_and_another_is_trained(code, cached, capsys, one_thread):
    """Its name is the callable's; a changed file has both done again, an unchanged one nothing."""
    mine, out = code / "mine.py", code / "out"

    def whole():
        settings = ("--network", f"{mine}:looks", "--train-network", f"{mine}:eight")
        assert run("run", *GLYPHS, *QUICK, "--out", out, *settings) == 0, capsys.readouterr().err
        return capsys.readouterr().err

    assert "(reused)" not in whole()
    trained = TrainRun.load(out / "runs" / "eight-fast-seed0")
    assert trained.network == "eight"
    assert trained.origin.made_from["network"] == file_sha256(mine)
    assert str(code) not in json.dumps(trained.origin.to_dict())
    again = whole()
    for stage in ("validate", "train"):
        assert re.search(rf"^ *{stage} .*\(reused\)$", again, re.MULTILINE), again
    mine.write_text(CODE + "# another version\n")
    changed = whole()
    for stage in ("validate", "train"):
        assert not re.search(rf"^ *{stage} .*\(reused\)$", changed, re.MULTILINE), changed
    assert TrainRun.load(out / "runs" / "eight-fast-seed0").origin.made_from["network"] == file_sha256(mine)


def test_a_network_for_images_of_an_odd_size_is_not_refused_before_these_are_known(code):
    (code / "mine.py").write_text(
        CODE + "def odd(num_classes):\n    return nn.Sequential(nn.Flatten(), nn.Linear(3 * 40 * 40, num_classes))\n"
    )
    check_own(f"{code}/mine.py:odd", 5, None)
    check_own(f"{code}/mine.py:odd", 5, 40)
    with pytest.raises(NetworkError, match="on images of 41 px"):
        check_own(f"{code}/mine.py:odd", 5, 41)


def test_scores_by_a_network_of_ones_own_depend_on_its_file(code, small_glyphs, monkeypatch):
    """Of the stage `score`, what it would be made from."""
    origins = []
    chosen = choose_classes(count([0, 1], [1, 0], small_glyphs.class_ids), 3)
    chosen.save(code / "class_subset.json")
    monkeypatch.setattr(scoring, "make_scores", lambda *args, **_: origins.append(args[5]))
    folder = RunFolder(code)
    settings = ScoreSettings(score_network=f"{code}/mine.py:Pooled")
    check_score(settings, small_glyphs)
    for text in (CODE, CODE + "#"):
        (code / "mine.py").write_text(text)
        with pytest.raises(ArtifactError):  # nothing was made
            scoring.score(folder, small_glyphs, folder.class_subset, None, settings, MachineSettings())
    assert not origins[0].same_as(origins[1])
    assert origins[1].made_from["network"] == file_sha256(code / "mine.py")


def test_a_checkpoint_of_a_network_of_ones_own_is_loaded(code, cached, capsys):
    weights = find_own(f"{code}/mine.py:looks").build(12).state_dict()
    torch.save(weights, code / "w.pt")
    settings = ("--network", f"{code}/mine.py:looks", "--weights", code / "w.pt")
    glyphs = GLYPHS[:-2]
    command = ("validate", *glyphs, "--out", code / "out", *settings, "--loader", "torchvision", "--device", "cpu")
    assert run(*command) == 0, capsys.readouterr().err
    torch.save({**weights, "last.bias": torch.zeros(5), "last.weight": torch.zeros(5, 3)}, code / "w.pt")
    assert run(*command) == 1
    assert "these weights are for 5 classes, the data set has 12" in capsys.readouterr().err


@pytest.mark.slow
def test_networks_of_ones_own_have_rows_in_the_table(code, cached, capsys, one_thread):
    base = ("run", *GLYPHS, *QUICK, "--out", code / "out", "--network", f"{code}/mine.py:looks")
    assert run(*base, "--train-network", f"{code}/mine.py:Pooled") == 0, capsys.readouterr().err
    quick = ("--epochs", 1, "--train-batch-size", 16, "--num-threads", 1, "--device", "cpu")
    networks = ("--networks", f"{code}/mine.py:Pooled,{code}/mine.py:eight")
    assert run("train", "--out", code / "out", *networks, *quick) == 0, capsys.readouterr().err
    assert "| Pooled |" in (code / "out" / "table-fast.md").read_text()
    assert "| eight |" in (code / "out" / "table-fast.md").read_text()
    assert {"Pooled-fast-seed0", "eight-fast-seed0"} <= {path.name for path in (code / "out" / "runs").iterdir()}
    assert run("train", "--out", code / "out", "--networks", f"{code}/mine.py:fixed", *quick) == 2
    assert "fixed: gives 7 outputs, and there are 8 classes" in capsys.readouterr().err
