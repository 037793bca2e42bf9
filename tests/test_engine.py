"""One engine trains all networks: those that score and that for glyphs as those of the table."""

import ast
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import rescale_fast
from rescale_fast.api.scoring import score_subset
from rescale_fast.beton.file import read_beton
from rescale_fast.class_subset.types import ClassSubset
from rescale_fast.errors import DatasetError, NetworkError, TrainingError
from rescale_fast.image_subset.sample import sample_images
from rescale_fast.loaders import beton_loader
from rescale_fast.machine import MachineSettings
from rescale_fast.networks.pretrained import choose_network, load_network
from rescale_fast.networks.settings import NetworkSettings
from rescale_fast.networks.types import IMAGENET_MEAN, IMAGENET_STD
from rescale_fast.predictions.network import ready_network
from rescale_fast.scores import score
from rescale_fast.scores.settings import ScoreSettings
from rescale_fast.scores.types import Scores
from rescale_fast.train import engine, glyph_network
from tests import colours
from tests.test_image_choice import NOWHERE

pytestmark = pytest.mark.usefixtures("one_thread")
CPU = MachineSettings(device="cpu", num_threads=1)
STEPS = {"backward": "precision", "zero_grad": "precision", "SGD": "optimizer", "AdamW": "optimizer"}
QUICK = ScoreSettings(score_epochs=3, score_batch_size=16)


@pytest.fixture(autouse=True)
def by_dali_into_an_empty_cache(monkeypatch, tmp_path):
    monkeypatch.setattr(score, "beton_loader", partial(beton_loader, loader="dali"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def scored(dataset, folder, settings=QUICK):
    ids = dataset.class_ids
    classes = ClassSubset(NOWHERE, "list", len(ids), tuple(range(len(ids))), ids, ids, {})
    subset = sample_images(dataset, classes, NOWHERE)
    score_subset(folder, dataset, subset, "shift", settings, CPU)
    return Scores.load(folder)


def by_glyph_network(dataset, tmp_path):
    del tmp_path
    glyph_network.train_glyph_network(dataset)


class OutOfMemory(nn.Module):
    def __init__(self, error):
        super().__init__()
        self.weight, self.error = nn.Parameter(torch.zeros(3)), error

    def forward(self, images):
        raise self.error


GPU_IS_FULL = torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
MACHINE_IS_FULL = RuntimeError("[enforce fail at alloc_cpu.cpp:117] DefaultCPUAllocator: can't allocate memory")


def test_one_module_makes_optimisers_and_one_takes_steps_down_gradients():
    package = Path(rescale_fast.__file__).parent
    calls = {
        (path.relative_to(package).as_posix(), node.func.attr)
        for path in package.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in STEPS
    }
    assert calls == {(f"train/{module}.py", name) for name, module in STEPS.items()}


@pytest.mark.parametrize(
    ("make", "advice"),
    [
        (scored, "a step of 16 images of 24 px. Lower --score-batch-size or --score-size"),
        (by_glyph_network, "a step of 120 images of 24 px. Draw fewer glyphs"),
    ],
)
@pytest.mark.parametrize(("error", "whose"), [(GPU_IS_FULL, "the GPU's"), (MACHINE_IS_FULL, "this machine's")])
def test_too_little_memory_is_explained_to_whoever_trains(
    small_glyphs, tmp_path, monkeypatch, make, advice, error, whose
):
    monkeypatch.setattr(engine, "build_for_training", lambda *_, **__: OutOfMemory(error))
    with pytest.raises(TrainingError, match=f"small: {whose} memory does not hold {advice}"):
        make(small_glyphs, tmp_path)
    monkeypatch.setattr(engine, "build_for_training", lambda *_, **__: OutOfMemory(RuntimeError("a slip of ours")))
    with pytest.raises(RuntimeError, match="a slip of ours"):
        make(small_glyphs, tmp_path)


def test_a_loss_that_is_no_number_is_explained_to_whoever_trains(small_glyphs, tmp_path, monkeypatch):
    with pytest.raises(TrainingError, match=r"no longer a number in epoch \d. Lower the --score-learning-rate \(it"):
        scored(small_glyphs, tmp_path, ScoreSettings(score_learning_rate=1e30))
    assert not list(tmp_path.glob("part-*")), "nothing is kept"
    monkeypatch.setattr(glyph_network, "LEARNING_RATE", 1e30)
    with pytest.raises(TrainingError, match=r"no longer a number in epoch \d. Draw other glyphs \(--glyph-seed"):
        glyph_network.train_glyph_network(small_glyphs)
    assert not list(tmp_path.rglob("*.pt")), "nothing is cached"


def test_images_that_are_too_small_name_the_option_of_whoever_trains(small_glyphs, tmp_path):
    with pytest.raises(NetworkError, match="on images of 24 px. Pass --score-size 75, which"):
        scored(small_glyphs, tmp_path, ScoreSettings(score_network="InceptionV4"))


def test_the_same_seed_gives_the_same_scores_and_another_gives_others(small_glyphs, tmp_path):
    torch.manual_seed(7)
    before = torch.get_rng_state()
    one = scored(small_glyphs, tmp_path / "one")
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(8)
    again = scored(small_glyphs, tmp_path / "again")
    np.testing.assert_array_equal(one.probabilities, again.probabilities)
    for half in "ab":
        files = [(tmp_path / name / f"part-{half}.parquet").read_bytes() for name in ("one", "again")]
        assert files[0] == files[1]
    other = scored(small_glyphs, tmp_path / "other", ScoreSettings(score_epochs=3, score_batch_size=16, score_seed=1))
    assert sorted(other.paths) == sorted(one.paths)
    assert (other.true_probability != one.true_probability).any()


def coloured_half(folder, num_images, seed):
    betons, infos = colours.write_colours(folder, num_train=num_images, seed=seed)
    labels = read_beton(betons["train"]).integers("label")
    return score.Half(
        betons["train"], infos["train"], tuple(f"{folder.name}{i}" for i in range(len(labels))), labels, labels
    )


def test_each_half_is_scored_by_a_network_that_learnt_from_the_other_alone(tmp_path, monkeypatch):
    """The halves give the same colours different labels: each must get those of the other."""
    own = coloured_half(tmp_path / "a", 48, seed=0)
    monkeypatch.setattr(colours, "COLOURS", np.roll(colours.COLOURS, 1, axis=0))
    other = coloured_half(tmp_path / "b", 40, seed=1)
    settings = ScoreSettings(score_epochs=6, score_batch_size=8)
    score.score_halves(tmp_path, {"a": own, "b": other}, "shift", settings, NOWHERE, machine=CPU)
    for half, shift in ((own, 1), (other, -1)):
        made = Scores.load(tmp_path / f"part-{half.paths[0][0]}.parquet", probabilities=True)
        assert (made.probabilities.argmax(1) == (half.labels + shift) % 3).mean() > 0.9


def test_the_network_for_glyphs_is_trained_once_and_anew_when_its_file_is_damaged(small_glyphs, tmp_path, monkeypatch):
    choice = choose_network(small_glyphs, NetworkSettings())
    with pytest.raises(NetworkError, match="glyph-network-2"):
        load_network(choice, small_glyphs)
    first = ready_network(choice, small_glyphs)
    assert not first.network.training
    assert first.notes == ()
    (path,) = tmp_path.rglob("glyph-network-*.pt")
    whole = path.read_bytes()
    for damage in (b"", b"PK\x03\x04", whole[:1000], b"\x80\x02K\x01."):
        path.write_bytes(damage)
        torch.manual_seed(8)
        ready_network(choice, small_glyphs)
        assert path.read_bytes() == whole, "the same glyphs, the same network"
    torch.save({"wrong": [1, 2]}, path)
    ready_network(choice, small_glyphs)
    assert path.read_bytes() == whole
    monkeypatch.setattr("rescale_fast.predictions.network.train_glyph_network", None)  # it is not called again
    for one, other in zip(
        first.network.parameters(), ready_network(choice, small_glyphs).network.parameters(), strict=True
    ):
        assert torch.equal(one, other)


def test_networks_look_at_glyphs_through_the_same_normalisation_in_training_and_validation(small_glyphs):
    transform = ready_network(choose_network(small_glyphs, NetworkSettings()), small_glyphs).transform
    assert (transform.mean, transform.std) == (IMAGENET_MEAN, IMAGENET_STD)


def test_glyphs_without_a_train_split_have_no_network(small_glyphs):
    dataset = replace(small_glyphs, splits={"val": small_glyphs.splits["val"]})
    with pytest.raises(DatasetError, match="no train split"):
        ready_network(choose_network(dataset, NetworkSettings()), dataset)
