"""Checkpoints people have: of any age and make, and files that are none."""

import argparse
import contextlib
import functools
import pickle
import re
import subprocess
import sys
import zipfile
from collections import OrderedDict, defaultdict

import numpy as np
import pytest
import torch
from torch import nn

from rescale_fast.errors import NetworkError
from rescale_fast.networks.build import build_network
from rescale_fast.networks.checkpoints import read_checkpoint
from rescale_fast.networks.saving import save_state
from rescale_fast.networks.weights import fit_names, load_weights, names_taken
from tests import old_torch


@pytest.fixture(scope="module")
def weights():
    """Of `small` for 7 classes."""
    torch.manual_seed(0)
    return dict(build_network("small", 7).state_dict())


def assert_loads(path, weights, note=""):
    checkpoint = read_checkpoint(path)
    assert checkpoint.note == note
    network = build_network("small", 7)
    load_weights(network, checkpoint.weights, path.name, 7)
    for key, value in weights.items():
        torch.testing.assert_close(network.state_dict()[key], value, rtol=0, atol=0)


def prefixed(weights, prefix):
    return OrderedDict((prefix + key, value) for key, value in weights.items())


class OfTheirs(dict):
    """A class of the training code that wrote a checkpoint, such as yacs' CfgNode, with items and attributes."""

    def __init__(self):
        super().__init__(lr=0.1)
        self.frozen = True

    def __setattr__(self, name, value):
        assert name == "frozen", "a checkpoint's class was used"
        super().__setattr__(name, value)


SETTINGS = argparse.Namespace(lr=0.1, model="small", output=None)
WRAPPINGS = {
    "plain": lambda w: w,
    "the ImageNet example's": lambda w: {"state_dict": prefixed(w, "module."), "best_acc1": torch.tensor(71.2)},
    "with NumPy's numbers": lambda w: {"state_dict": w, "best_acc": np.float64(71.2), "curve": np.arange(3.0)},
    "torchvision's reference": lambda w: {
        "model": w,
        "optimizer": {"state": {0: {"momentum_buffer": torch.zeros(2)}}, "param_groups": [{"lr": 0.1}]},
        "args": SETTINGS,
    },
    "timm's": lambda w: {"epoch": 3, "arch": "small", "state_dict": w, "args": SETTINGS, "version": 2, "metric": 71.2},
    "only averaged, timm's": lambda w: {"state_dict_ema": w, "epoch": 3},
    "only averaged, torchvision's": lambda w: {"model_ema": {"n_averaged": torch.tensor(9), **prefixed(w, "module.")}},
    "a tutorial's": lambda w: {"model_state_dict": w, "optimizer_state_dict": {"state": {}, "param_groups": []}},
    "model_state": lambda w: {"model_state": w},
    "pytorch-cifar's": lambda w: {"net": prefixed(w, "module."), "acc": 93.1, "epoch": 7},
    "by a name of theirs": lambda w: {"my_weights": w, "epoch": 3},
    "Lightning's, self.model": lambda w: {
        "state_dict": prefixed(w, "model."),
        "pytorch-lightning_version": "2.5.0",
        "hyper_parameters": {
            "config": OfTheirs(),
            "seen": defaultdict(list, a=[1]),
            "optimizer": functools.partial(torch.optim.SGD, lr=0.1),
            "layers": range(3),
            "type": int,
            "random": torch.Generator(),
        },
        "callbacks": {"ModelCheckpoint{'monitor': 'val'}": {"best_model_score": torch.tensor(0.7)}},
    },
    "Lightning's, self.net": lambda w: {"state_dict": prefixed(w, "net.")},
    "compiled in Lightning": lambda w: {"state_dict": prefixed(w, "model._orig_mod.")},
    "two deep": lambda w: {"state_dict": prefixed(w, "classifier.backbone.")},
    "wrapped twice": lambda w: {"model": {"state_dict": w, "name": "small"}},
    "parameters": lambda w: {key: nn.Parameter(value, requires_grad=False) for key, value in w.items()},
}


@pytest.mark.parametrize("wrapping", WRAPPINGS)
def test_weights_are_found_however_they_are_wrapped(tmp_path, weights, wrapping):
    for zipped in (True, False):
        torch.save(WRAPPINGS[wrapping](weights), tmp_path / "w.pt", _use_new_zipfile_serialization=zipped)
        assert_loads(tmp_path / "w.pt", weights)


@pytest.mark.parametrize(("averaged", "plain"), [("state_dict_ema", "state_dict"), ("model_ema", "model")])
def test_of_averaged_and_plain_weights_the_averaged_are_taken_and_said(tmp_path, weights, averaged, plain):
    others = {key: torch.zeros_like(value) for key, value in weights.items()}
    for stored in ({averaged: weights, plain: others}, {plain: others, averaged: weights}):
        torch.save(stored, tmp_path / "w.pt")
        assert_loads(tmp_path / "w.pt", weights, note=f"{averaged} is taken, the moving average, not {plain}")


def test_mmengine_keeps_the_average_as_its_state_dict(tmp_path, weights):
    """Its EMAHook swaps the two when it saves: what it calls ema_state_dict are the plain weights."""
    others = {key: torch.zeros_like(value) for key, value in weights.items()}
    torch.save({"state_dict": weights, "ema_state_dict": others}, tmp_path / "w.pt")
    assert_loads(tmp_path / "w.pt", weights, note="state_dict is taken, not ema_state_dict")


@pytest.mark.parametrize("key", ["ema", "ema_state_dict", "averaged", "state_dict_swa", "best_model"])
def test_what_was_taken_of_several_is_always_said(tmp_path, weights, key):
    others = {name: torch.zeros_like(value) for name, value in weights.items()}
    torch.save({"model_state_dict": weights, key: others}, tmp_path / "w.pt")
    assert_loads(tmp_path / "w.pt", weights, note=f"model_state_dict is taken, not {key}")


def test_several_sets_of_weights_are_not_guessed_among(tmp_path, weights):
    torch.save({"student": weights, "teacher": weights}, tmp_path / "w.pt")
    with pytest.raises(NetworkError, match=r"holds several sets of weights \('student', 'teacher'\)"):
        read_checkpoint(tmp_path / "w.pt")


@pytest.mark.parametrize("name", ["w.safetensors", "W.SAFETENSORS", "model.bin", "w.pth"])
def test_safetensors_are_read_whatever_they_are_called(tmp_path, weights, name):
    from safetensors.torch import save_file

    save_file(weights, tmp_path / name)
    assert_loads(tmp_path / name, weights)
    (tmp_path / name).write_bytes((tmp_path / name).read_bytes()[:-1])
    with pytest.raises(NetworkError, match="not a checkpoint that can be read safely"):
        read_checkpoint(tmp_path / name)


def test_pickles_are_read_whatever_they_are_called(tmp_path, weights):
    torch.save(weights, tmp_path / "pytorch_model.bin")
    assert_loads(tmp_path / "pytorch_model.bin", weights)


def test_a_torn_file_is_no_safetensors_file(tmp_path):
    (tmp_path / "w.safetensors").write_bytes(b"torn")
    with pytest.raises(NetworkError, match="not a checkpoint that can be read safely"):
        read_checkpoint(tmp_path / "w.safetensors")


def test_torchvisions_checkpoints_of_2017_load(tmp_path):
    """Parameters, not tensors, were in a state_dict then; and as ResNet-18 had no counters."""
    weights = old_torch.made_up_weights(old_torch.resnet(1000, (2, 2, 2, 2), (3, 3)))
    parameters = OrderedDict((key, nn.Parameter(value)) for key, value in weights.items())
    old_torch.save(parameters, tmp_path / "resnet18-5c106cde.pth")
    assert len(weights) == 102
    network = build_network("resnet18", 1000)
    load_weights(network, read_checkpoint(tmp_path / "resnet18-5c106cde.pth").weights, "resnet18", 1000)
    for key, value in weights.items():
        torch.testing.assert_close(network.state_dict()[key], value, rtol=0, atol=0)


def test_what_python_2_stored_beside_weights_is_read_past(tmp_path, weights):
    """0xc3 is no UTF-8 of its own, nor ASCII: what ended the reading of such files in Python 3. An optimizer named its
    parameters by their addresses then."""
    old = {key: value for key, value in weights.items() if not key.endswith("num_batches_tracked")}
    address = 139_652_874_212_488
    momentum = {"state": {address: {"momentum_buffer": torch.ones(3)}}, "param_groups": [{"params": [address]}]}
    stored = {
        "state_dict": OrderedDict(old),
        "best_prec1": np.frombuffer(b"\xc3" * 8)[0],
        "args": argparse.Namespace(data="Zoë's images", command="python train.py " * 20, seed=-address),
        "optimizer": momentum,
    }
    old_torch.save(stored, tmp_path / "w.pth.tar")
    assert_loads(tmp_path / "w.pth.tar", old)


def test_whole_networks_are_refused_with_what_to_do(tmp_path):
    """Zipped, they are told by their class; older ones hold their source code."""
    expected = r"torch.save\(network.state_dict\(\), FILE\)"
    torch.save(build_network("small", 7), tmp_path / "whole.pt")
    with pytest.raises(NetworkError, match=f"holds a whole network, a pickled .*SmallNet', whose.*{expected}"):
        read_checkpoint(tmp_path / "whole.pt")
    torch.save({"epoch": 3, "model": build_network("small", 7)}, tmp_path / "whole.pt")
    with pytest.raises(NetworkError, match=f"holds a whole network, a pickled .*SmallNet', whose.*{expected}"):
        read_checkpoint(tmp_path / "whole.pt")
    old_torch.save(old_torch.SourceCode(), tmp_path / "whole.pth.tar")
    with pytest.raises(NetworkError, match=f"a whole network was pickled, with its source code.*{expected}"):
        read_checkpoint(tmp_path / "whole.pth.tar")


@pytest.mark.parametrize("name", ["model-00001-of-00002.safetensors", "model.safetensors.index.json"])
def test_weights_in_several_files_are_told_to_be_joined(tmp_path, name):
    (tmp_path / name).write_bytes(b"{}")
    with pytest.raises(NetworkError, match="is one of several files that hold weights together. Save them as one"):
        read_checkpoint(tmp_path / name)


def test_counters_may_be_missing_but_nothing_else(weights):
    running = "features.0.1.running_mean"
    assert running in weights
    without = {key: value for key, value in weights.items() if key != running}
    with pytest.raises(NetworkError, match=f"1 missing, 0 unknown; first '{running}'"):
        load_weights(build_network("small", 7), without, "w.pt", 7)
    with pytest.raises(NetworkError, match="0 missing, 1 unknown; first 'extra.weight'"):
        load_weights(build_network("small", 7), weights | {"extra.weight": torch.zeros(1)}, "w.pt", 7)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16, torch.float8_e5m2])
def test_values_that_are_no_numbers_are_refused_by_the_first_tensors_name(weights, value, dtype):
    damaged = dict(weights)
    for key in ("features.4.1.bias", "head.weight"):
        damaged[key] = weights[key].clone()
        damaged[key].view(-1)[-1] = value
        damaged[key] = damaged[key].to(dtype)
    with pytest.raises(NetworkError, match=r"w.pt: 'features.4.1.bias' holds NaN or infinity"):
        load_weights(build_network("small", 7), damaged, "w.pt", 7)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_weights_of_any_precision_load(tmp_path, weights, dtype):
    rounded = {key: value.to(dtype) if value.is_floating_point() else value for key, value in weights.items()}
    torch.save(rounded, tmp_path / "w.pt")
    assert_loads(tmp_path / "w.pt", {key: value.to(weights[key].dtype) for key, value in rounded.items()})


@pytest.mark.parametrize(
    "change",
    [
        lambda value: value.to(torch.int8),
        lambda value: value.to_sparse(),
        lambda value: value.to("meta"),
        lambda value: value.to(torch.complex64),
    ],
)
def test_tensors_of_another_kind_are_refused(tmp_path, weights, change):
    torch.save(weights | {"head.weight": change(weights["head.weight"])}, tmp_path / "w.pt")
    with pytest.raises(NetworkError, match="'head.weight' is a tensor of another type .*expected torch.float32"):
        load_weights(build_network("small", 7), read_checkpoint(tmp_path / "w.pt").weights, "w.pt", 7)


def test_names_of_another_library_are_shown_beside_the_networks():
    """As mmpretrain calls ResNet's: not one prefix, so nothing is stripped."""
    network = build_network("resnet18", 7)
    theirs = {
        ("head." if key.startswith("fc.") else "backbone.") + key: value for key, value in network.state_dict().items()
    }
    with pytest.raises(NetworkError, match="begin with 'backbone', 'head', the network's with 'conv1', 'bn1', "):
        load_weights(network, theirs, "mm.pth", 7)


def test_densenets_of_old_fit_todays():
    network = build_network("densenet121", 3)
    old = {
        re.sub(r"(denselayer\d+\.(?:norm|conv))(\d)\.", r"\1.\2.", key): value
        for key, value in network.state_dict().items()
    }
    assert "features.denseblock1.denselayer1.norm.1.weight" in old
    load_weights(build_network("densenet121", 3), old, "densenet", 3)


def test_heads_that_only_training_uses_are_left_out():
    from torchvision import models

    trained = models.get_model("inception_v3", weights=None, num_classes=4, aux_logits=True, init_weights=False)
    load_weights(build_network("inception_v3", 4), trained.state_dict(), "inception", 4)


def test_only_whole_parts_of_a_name_are_prefixes():
    own = {"submodule.weight": 0, "fc.bias": 0, "features.0.weight": 0}
    found = fit_names({"submodule.weight": 1, "_orig_mod.fc.bias": 2, "features.module.0.weight": 3}, own)
    assert found == {"submodule.weight": 1, "fc.bias": 2, "features.0.weight": 3}


def test_a_network_that_has_a_part_called_module_keeps_it():
    own = {"module.fc.weight": 0}
    assert fit_names({"module.fc.weight": 1}, own) == {"module.fc.weight": 1}
    assert fit_names({"model.module.fc.weight": 1}, own) != {"fc.weight": 1}


def test_weights_for_another_number_of_classes_are_refused():
    with pytest.raises(NetworkError, match="for 5 classes, the data set has 7"):
        load_weights(build_network("small", 7), build_network("small", 5).state_dict(), "w.pt", 7)


def test_weights_of_another_network_are_refused():
    with pytest.raises(NetworkError, match="none of its .* belongs|does not fit this network"):
        load_weights(build_network("small", 7), build_network("resnet18", 7).state_dict(), "w.pt", 7)


@pytest.mark.parametrize("content", [b"", b"hello", b"PK\x03\x04 not really a zip", b"\x80\x02}q\x00X"])
def test_a_file_that_is_no_checkpoint_is_refused(tmp_path, content):
    (tmp_path / "w.pt").write_bytes(content)
    with pytest.raises(NetworkError, match="not a checkpoint that can be read safely"):
        read_checkpoint(tmp_path / "w.pt")


def run_code(*_):
    raise AssertionError("a checkpoint ran code")


class _Bomb:
    def __reduce__(self):
        return (run_code, ("now",), {"state": 1}, None, iter([("item", 2)]))


def test_a_checkpoint_cannot_run_code(tmp_path):
    torch.save({"state_dict": _Bomb()}, tmp_path / "w.pt")
    with pytest.raises(NetworkError, match="holds a whole"):
        read_checkpoint(tmp_path / "w.pt")


def test_code_beside_weights_is_not_run(tmp_path, weights):
    for zipped in (True, False):
        torch.save({"state_dict": weights, "x": _Bomb()}, tmp_path / "w.pt", _use_new_zipfile_serialization=zipped)
        assert_loads(tmp_path / "w.pt", weights)


def test_torch_forgets_the_stand_ins_again(tmp_path, weights):
    torch.save({"state_dict": weights, "args": SETTINGS}, tmp_path / "w.pt")
    assert_loads(tmp_path / "w.pt", weights)
    assert not any(isinstance(known, tuple) for known in torch.serialization.get_safe_globals())


CRAFTED = {  # opcodes after the protocol's, on what a stand-in gives
    "the operating system": b"cos\nsystem\nU\x04true\x85R.",
    "the builtin one": b"cnt\nsystem\nU\x04true\x85R.",
    "state for the stand-in's class": b"cmine\nThing\n}U\x07__new__cmine\nOther\nsb.",
    "state for torch.Tensor": b"ctorch._tensor\nTensor\n}U\x03addK\x01sb.",
    "items for a class": b"cmine\nThing\nU\x03addK\x01s.",
    "endless": b"}" + b"q\x00" + b"U\x05model" + b"h\x00" + b"s.",
    "no opcode": b"\xff.",
    "nothing": b"",
}


@pytest.mark.parametrize("attack", CRAFTED)
@pytest.mark.parametrize("zipped", [True, False])
def test_crafted_pickles_are_refused(tmp_path, attack, zipped):
    crafted = b"\x80\x02" + CRAFTED[attack]
    if zipped:
        with zipfile.ZipFile(tmp_path / "w.pt", "w") as archive:
            archive.writestr("archive/data.pkl", crafted)
            archive.writestr("archive/version", "3\n")
            archive.writestr("archive/byteorder", "little")
    else:
        headers = (old_torch.MAGIC, old_torch.VERSION, old_torch.SIZES)
        (tmp_path / "w.pt").write_bytes(b"".join(pickle.dumps(header, 2) for header in headers) + crafted)
    with pytest.raises(NetworkError, match="not a checkpoint that can be read safely|holds no state_dict"):
        read_checkpoint(tmp_path / "w.pt")


def test_no_damage_gives_a_traceback(tmp_path, rng):
    """Files cut, and with a bit changed, at 100 places each, most of them in what describes the tensors."""

    def build():
        return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Linear(4, 7))

    path, weights = tmp_path / "w.pt", build().state_dict()
    old = OrderedDict((key, value) for key, value in weights.items() if not key.endswith("num_batches_tracked"))
    old_torch.save({"state_dict": old, "best_prec1": np.float64(1), "args": SETTINGS}, path)
    wholes = [path.read_bytes()]
    torch.save({"state_dict": weights, "args": SETTINGS}, path)
    for whole in [*wholes, path.read_bytes()]:
        for place in rng.integers(0, len(whole), 100):
            changed = bytearray(whole)
            changed[place] ^= 1 << rng.integers(8)
            for damaged in (changed, whole[:place]):
                path.write_bytes(damaged)
                with contextlib.suppress(NetworkError):
                    load_weights(build(), read_checkpoint(path).weights, "w.pt", 7)


@pytest.mark.parametrize("nested", [{"w": torch.ones(3)}, {"a": {"b": [torch.ones(2), (1, "x")]}, "n": 3}])
def test_saved_states_are_the_same_bytes_in_any_file(tmp_path, nested):
    for name in ("one.pt", "another-name.bin"):
        save_state(tmp_path / name, nested)
    assert (tmp_path / "one.pt").read_bytes() == (tmp_path / "another-name.bin").read_bytes()
    assert b"another" not in (tmp_path / "another-name.bin").read_bytes()
    loaded = torch.load(tmp_path / "one.pt", weights_only=True)
    assert repr(loaded) == repr(nested)


class OnAnotherDevice(torch.Tensor):
    def cpu(self):
        return self.as_subclass(torch.Tensor)


def test_saved_tensors_are_the_cpus(tmp_path):
    elsewhere = torch.ones(3).as_subclass(OnAnotherDevice)
    states = {
        "network": OrderedDict(w=elsewhere),
        "optimizer": {"state": {0: {"buffer": elsewhere}}, "all": [elsewhere]},
    }
    save_state(tmp_path / "w.pt", states)
    loaded = torch.load(tmp_path / "w.pt", weights_only=True)
    for tensor in (loaded["network"]["w"], loaded["optimizer"]["state"][0]["buffer"], loaded["optimizer"]["all"][0]):
        assert type(tensor) is torch.Tensor
    assert states["network"]["w"] is elsewhere, "what was given is left as it was"


def test_a_saved_state_dict_keeps_its_versions(tmp_path):
    state = build_network("small", 7).state_dict()
    save_state(tmp_path / "w.pt", state)
    assert torch.load(tmp_path / "w.pt", weights_only=True)._metadata == state._metadata


def test_a_full_disk_is_said(tmp_path):
    """In a process of its own, whose files may have 100 kB."""
    code = f"""
import resource, signal, torch
from pathlib import Path
from rescale_fast.errors import OutputError
from rescale_fast.networks.saving import save_state
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    save_state(Path({str(tmp_path)!r}) / "w.pt", {{str(i): torch.zeros(50_000) for i in range(9)}})
except OutputError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "w.pt: cannot write it: File too large" in done.stdout
    assert not list(tmp_path.iterdir())


def test_a_tensor_is_no_state_dict(tmp_path):
    torch.save([torch.zeros(3)], tmp_path / "w.pt")
    with pytest.raises(NetworkError, match="holds no state_dict"):
        read_checkpoint(tmp_path / "w.pt")


def test_the_one_part_that_is_a_whole_network_is_taken(weights):
    beside = {**prefixed(weights, "model."), "criterion.weight": torch.ones(7)}
    load_weights(build_network("small", 7), beside, "w.ckpt", 7)
    with pytest.raises(NetworkError, match="begin with 'student', 'teacher'"):
        load_weights(build_network("small", 7), prefixed(weights, "student.") | prefixed(weights, "teacher."), "w", 7)


def test_a_torchscript_archive_is_named(tmp_path):
    with zipfile.ZipFile(tmp_path / "w.pt", "w") as archive:  # as torch.jit.save lays it out
        for name in ("data.pkl", "constants.pkl", "version", "code/__torch__.py"):
            archive.writestr(f"w/{name}", b"3\n" if name == "version" else pickle.dumps({}, 2))
    with pytest.raises(NetworkError, match="it is a TorchScript archive"):
        read_checkpoint(tmp_path / "w.pt")


def test_which_of_several_parts_of_a_checkpoint_is_taken_is_said(weights):
    own = build_network("small", 7).state_dict()
    beside = {**prefixed(weights, "model."), "criterion.weight": torch.ones(7)}
    assert names_taken(beside, own) == "its part 'model' is taken, not 'criterion'"
    zeros = {f"module.{key}": torch.zeros_like(value) for key, value in weights.items()}
    for both in (zeros | weights, weights | zeros):
        assert names_taken(both, own) == "tensors without 'module' before their names are taken, not those with it"
        for key, value in fit_names(both, own).items():
            assert torch.equal(value, weights[key])
    for alone in (weights, prefixed(weights, "module."), prefixed(weights, "model.")):
        assert names_taken(alone, own) == ""


def test_arrays_in_place_of_tensors_are_named_with_what_to_do(weights, tmp_path):
    arrays = {key: value.numpy() for key, value in weights.items()}
    path = tmp_path / "w.pt"
    for stored in (arrays, {"state_dict": arrays}):
        torch.save(stored, path)
        with pytest.raises(NetworkError, match=rf"holds {len(arrays)} NumPy arrays, expected tensors\. Make tensors"):
            read_checkpoint(path)
    torch.save({name: torch.as_tensor(array) for name, array in arrays.items()}, path)  # as the message says
    assert read_checkpoint(path).weights.keys() == weights.keys()
    np.savez(path.with_suffix(".npz"), **arrays)
    with pytest.raises(NetworkError, match=r"it is an \.npz of NumPy arrays"):
        read_checkpoint(path.with_suffix(".npz"))
    path.write_bytes(pickle.dumps(arrays))
    with pytest.raises(NetworkError, match=r"it was pickled by Python alone, not by torch\.save"):
        read_checkpoint(path)
