"""The command line, as a user meets it: all stages in one, each by itself, reuse, bad input, Ctrl-C."""

import json
import os
import shutil
import signal
import subprocess
import time

import numpy as np
import pytest
import torch
from PIL import Image

from rescale_fast.beton.types import BetonInfo
from rescale_fast.class_subset.types import ClassSubset
from rescale_fast.confusion import ConfusionMatrix
from rescale_fast.image_subset.types import ImageSubset
from rescale_fast.networks.build import build_network
from rescale_fast.predictions.types import Predictions
from rescale_fast.quality.resolution import ResolutionSettings, assumed_resolution
from rescale_fast.train.types import TrainRun
from tests.conftest import interruptible

GLYPHS = ("--glyph-classes", 12, "--glyph-size", 24, "--glyph-train", 30, "--glyph-val", 10)
QUICK = (*GLYPHS, "--k", 4, "--epochs", 2, "--train-batch-size", 32, "--device", "cpu")
STAGES = ["validate", "confuse", "select", "sample", "export", "train"]


@pytest.fixture(scope="module")
def finished(command, tmp_path_factory):
    """A finished run: its folder, and what was printed."""
    out = tmp_path_factory.mktemp("run") / "out"
    code, stdout, stderr = command("run", *QUICK, "--out", out)
    assert code == 0, stderr
    return out, stdout, stderr


def stage_lines(stderr):
    """The last word on each stage: {stage: was it reused}."""
    lines = [line.strip() for line in stderr.splitlines()]
    return {stage: any(line.startswith(stage) and "(reused)" in line for line in lines) for stage in STAGES}


def test_the_artifacts_agree_with_one_another(finished):
    out, stdout, _ = finished
    predictions, confusion = Predictions.load(out / "predictions"), ConfusionMatrix.load(out / "confusion.npz")
    classes, images = ClassSubset.load(out / "class_subset.json"), ImageSubset.load(out / "image_subset.parquet")
    expected = np.zeros((12, 12), np.int64)
    np.add.at(expected, (predictions.labels, predictions.predicted), 1)
    np.testing.assert_array_equal(confusion.counts, expected)
    assert len(predictions.labels) == 120
    assert (out / "class_subset.txt").read_text().split() == list(classes.class_ids)
    assert len(classes.classes) == 4
    assert set(images.val.labels) == set(classes.classes)
    assert len(images.train) == 4 * 30
    for split in ("train", "val"):
        info = BetonInfo.load(out / f"{split}.json")
        assert info.num_images == len(images.split(split)) == sum(info.images_per_class)
        assert info.original_labels == tuple((label,) for label in classes.classes)
        assert info.bytes == (out / f"{split}.beton").stat().st_size
    run = TrainRun.load(out / "runs" / "small-fast-seed0")
    log = [json.loads(line) for line in (out / "runs" / "small-fast-seed0" / "log.jsonl").read_text().splitlines()]
    assert [record["epoch"] for record in log] == [1, 2] == [record["epoch"] for record in run.epochs]
    assert 0 <= run.last_top1 <= 1
    assert "chosen: 4 classes" in stdout


def test_a_run_says_what_its_validation_images_can_tell(finished):
    out, stdout, stderr = finished
    images = {split: BetonInfo.load(out / f"{split}.json").num_images for split in ("train", "val")}
    before = assumed_resolution(images["val"], ResolutionSettings(), all_images=sum(images.values()))
    assert before.describe() in stderr  # as the subset is made
    accuracy = TrainRun.load(out / "runs" / "small-fast-seed0").last_top1
    after = assumed_resolution(images["val"], ResolutionSettings(accuracy), all_images=sum(images.values()))
    assert after.describe() in stdout
    page = (out / "report.html").read_text(encoding="utf-8")
    assert after.describe() in page and f"{100 * after.least_significant:.2f} points</b>" in page


def test_the_report_stands_by_itself(finished):
    page = (finished[0] / "report.html").read_text(encoding="utf-8")
    assert "4 of 12 classes" in page
    assert page.count('<svg class="chart"') == 3  # the certificate, top-1 and loss by epoch
    assert "rescale-fast run --glyph" in page
    assert "data:image/jpeg" in page or "No image of a chosen class" in page
    assert "http://" not in page
    assert "https://" not in page


def test_a_second_run_reuses_everything(finished, command):
    out, _, first = finished
    assert not any(stage_lines(first).values())
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*") if path.is_file()}
    code, _, stderr = command("run", *QUICK, "--out", out)
    assert code == 0, stderr
    assert all(stage_lines(stderr).values())
    after = {path: path.stat().st_mtime_ns for path in out.rglob("*") if path.is_file()}
    assert {path.name for path in before if before[path] != after[path]} <= {"report.html", "run.json"}


def test_another_k_remakes_what_depends_on_it_and_nothing_else(finished, command, tmp_path):
    out = tmp_path / "copy"
    shutil.copytree(finished[0], out)
    code, _, stderr = command("run", *QUICK, "--k", 3, "--out", out)
    assert code == 0, stderr
    assert stage_lines(stderr) == dict(zip(STAGES, [True, True, False, False, False, False], strict=True))
    assert "3 of 12 classes" in (out / "report.html").read_text(encoding="utf-8")


def test_each_stage_by_itself_gives_the_same_artifacts(finished, command, tmp_path):
    out = tmp_path / "staged"
    for stage in [*STAGES, "report"]:
        own = {"validate": GLYPHS, "select": ("--k", 4), "train": QUICK[-6:]}.get(stage, ())
        code, _, stderr = command(stage, *own, "--out", out)
        assert code == 0, stderr
    for name in ("confusion.npz", "class_subset.json", "image_subset.parquet", "predictions/part-000000.parquet"):
        assert (out / name).read_bytes() == (finished[0] / name).read_bytes(), name


@pytest.mark.parametrize("stage", [*STAGES[1:], "report"])
def test_a_stage_without_its_input_names_the_command_that_makes_it(command, tmp_path, stage):
    needs = dict(zip([*STAGES[1:], "report"], [*STAGES[:-1], "confuse"], strict=True))[stage]
    code, _, stderr = command(stage, "--out", tmp_path / "empty")
    assert code == 1
    assert f"`rescale-fast {needs} --out" in stderr
    assert "Traceback" not in stderr


def test_results_made_elsewhere_are_taken_at_each_door(finished, command, tmp_path):
    out = finished[0]
    ids = ConfusionMatrix.load(out / "confusion.npz").class_ids
    np.savez(tmp_path / "c.npz", counts=np.arange(144).reshape(12, 12), class_ids=ids)
    (tmp_path / "list.txt").write_text("u0031  # one\n\nu0041\n")
    code, _, stderr = command("confuse", "--predictions", out / "predictions", "--out", tmp_path / "a")
    assert code == 0, stderr
    assert (tmp_path / "a" / "confusion.npz").read_bytes() == (out / "confusion.npz").read_bytes()
    made = ("--classes", tmp_path / "list.txt", "--confusion", tmp_path / "c.npz")
    quick = (*GLYPHS, "--epochs", 2, "--train-batch-size", 16, "--device", "cpu")
    code, stdout, stderr = command("run", *quick, *made, "--out", tmp_path / "b")
    assert code == 0, stderr
    assert not (tmp_path / "b" / "predictions").exists()
    assert "chosen: 2 classes (list)" in stdout
    assert (tmp_path / "b" / "class_subset.txt").read_text() == "u0031\nu0041\n"


def test_a_matrix_about_other_classes_is_refused(command, tmp_path):
    np.savez(tmp_path / "c.npz", counts=np.eye(12, dtype=int), class_ids=np.array([f"x{i}" for i in range(12)]))
    code, _, stderr = command("run", *QUICK, "--confusion", tmp_path / "c.npz", "--out", tmp_path / "out")
    assert code == 1
    assert "is about 12 classes from 'x0'" in stderr


def test_a_folder_with_val_alone_and_ones_own_weights(command, tmp_path, small_glyphs):
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "val").symlink_to(small_glyphs.root / "val")
    torch.save(build_network("small", 12).state_dict(), tmp_path / "w.pt")
    arguments = (
        "--dataset",
        "folder",
        "--root",
        tmp_path / "set",
        "--network",
        "small",
        "--weights",
        tmp_path / "w.pt",
    )
    code, _, stderr = command("run", *arguments, "--k", 3, "--device", "cpu", "--out", tmp_path / "out")
    assert code == 0, stderr
    assert "no train split, so nothing is trained" in stderr
    assert (tmp_path / "out" / "val.beton").exists()
    assert not (tmp_path / "out" / "train.beton").exists()


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("--dataset", "folder"), 2, "needs --root DIR"),
        (("--dataset", "folder", "--root", "/no/such/folder"), 1, "/no/such/folder: no such folder"),
        (("--dataset", "imagenet", "--root", "."), 1, "looked for val/<class>"),
        (("--glyph-classes", "2000"), 2, "--glyph-classes 2000: expected a whole number, 2 to 1,560"),
        (("--dataset", "cifar10"), 2, "cifar10"),
        ((*GLYPHS, "--k", "1"), 2, "--k 1: expected a whole number, 2 or more"),
        ((*GLYPHS, "--k", "13"), 2, "--k 13: expected 2 to 12"),
        ((*GLYPHS, "--weights", "/no/such.pt"), 2, "--weights /no/such.pt: no such file"),
        ((*GLYPHS, "--confusion", "/no/such.npz"), 2, "no such file"),
        ((*GLYPHS, "--classes", "/no/such.txt"), 2, "no such file"),
        ((*GLYPHS, "--batch-size", "100"), 2, "a divisor of 1,024"),
        ((*GLYPHS, "--out", "/proc/nothing/here"), 2, "cannot make it"),
        ((*GLYPHS, "--out", "/dev/null"), 2, "--out /dev/null: exists, but is no run folder"),
        (("--no-such-option",), 2, "no-such-option"),
    ],
)
def test_bad_input_ends_in_one_message(command, tmp_path, arguments, code, message):
    got, _, stderr = command("run", *arguments, cwd=tmp_path)
    assert message in stderr.replace("\n", " "), stderr
    assert got == code
    assert "Traceback" not in stderr


def test_a_class_without_an_image_is_named_before_any_work(command, tmp_path):
    for name in ("val/a", "val/b"):
        (tmp_path / name).mkdir(parents=True)
    Image.new("RGB", (8, 8)).save(tmp_path / "val/a/1.jpg")
    code, _, stderr = command("run", "--dataset", "folder", "--root", tmp_path)
    assert code == 1
    assert "val/b: holds an empty folder, no image" in stderr
    (tmp_path / "val/b/1.jpg").write_bytes(b"no image")
    (tmp_path / "any.pt").write_bytes(b"not looked into yet")
    network = ("--network", "resnet18", "--weights", tmp_path / "any.pt")
    code, _, stderr = command(
        "run", "--dataset", "folder", "--root", tmp_path, "--k", 2, *network, "--out", tmp_path / "out"
    )
    assert code == 1
    assert "class 'b' has no readable image in val" in stderr
    assert not (tmp_path / "out").exists()


def test_weights_that_do_not_fit_are_explained(command, tmp_path):
    torch.save(build_network("small", 5).state_dict(), tmp_path / "five.pt")
    (tmp_path / "text.pt").write_text("no weights")
    for name, message in (("five.pt", "for 5 classes, the data set has 12"), ("text.pt", "not a checkpoint")):
        out = tmp_path / name.removesuffix(".pt")
        code, _, stderr = command("run", *QUICK, "--weights", tmp_path / name, "--out", out)
        assert code == 1
        assert message in stderr
        assert "Traceback" not in stderr


def test_a_run_on_another_data_set_is_not_overwritten(finished, command, tmp_path):
    out = finished[0]
    before = (out / "confusion.npz").read_bytes()
    other = ("--glyph-classes", 5, "--glyph-train", 2, "--glyph-val", 2, "--k", 2, "--train-batch-size", 2)
    code, _, stderr = command("run", *other, "--out", out)
    assert code == 1
    assert "holds a run on glyphs-12-24px-30+10" in stderr
    assert (out / "confusion.npz").read_bytes() == before
    (tmp_path / "thesis.tex").touch()
    code, _, stderr = command("run", *GLYPHS, "--out", tmp_path)
    assert code == 1
    assert "exists, but is no run folder" in stderr


def test_a_damaged_artifact_is_made_again(finished, command, tmp_path):
    out = tmp_path / "copy"
    shutil.copytree(finished[0], out)
    for name in ("confusion.npz", "class_subset.json", "image_subset.parquet"):
        (out / name).write_bytes((out / name).read_bytes()[:50])
    code, _, stderr = command("run", *QUICK, "--out", out)
    assert code == 0, stderr
    for name in ("confusion.npz", "class_subset.json", "image_subset.parquet"):
        assert (out / name).read_bytes() == (finished[0] / name).read_bytes()


def test_a_run_is_exported_in_other_forms_too(finished, command, tmp_path):
    out = tmp_path / "copy"
    shutil.copytree(finished[0], out)
    for form in ("folder", "webdataset", "parquet"):
        for again in (False, True):
            code, _, stderr = command("export", "--out", out, "--form", form)
            assert code == 0, stderr
            assert stderr.count("(reused)") == 2 * again
            assert f"{form}/train: 120 images" in stderr
    classes = (out / "class_subset.txt").read_text().split()
    assert sorted(path.name for path in (out / "folder" / "val").glob("[!.]*")) == sorted(classes)
    assert (out / "train.beton").read_bytes() == (finished[0] / "train.beton").read_bytes()
    next((out / "folder" / "val").glob("*/*")).unlink()
    code, _, stderr = command("export", "--out", out, "--form", "folder", "--link", "copy")
    assert stderr.count("(reused)") == 1, "what is not complete is made again"
    code, _, stderr = command("export", "--out", out, "--form", "folder", "--store", "raw")
    assert (code, "takes --on-bad alone" in stderr) == (2, True)


def test_help_is_quick_and_complete(command):
    code, stdout, stderr = command("--help")
    assert code == 0, stderr
    assert all(stage in stdout for stage in ["run", *STAGES, "report"])
    start = time.monotonic()
    code, stdout, stderr = command("--help-all", module="rescale_fast.run")
    assert time.monotonic() - start < 5  # a guard against importing torch, which alone takes longer on a busy machine
    assert code == 0, stderr
    assert "--glyph-classes" in stdout
    assert command("no-such-command")[0] == 2


def test_ctrl_c_at_any_moment_ends_cleanly_and_the_next_run_goes_on(finished, command, tmp_path):
    """Interrupts one run after another, each later in its work, until one gets through."""
    out = tmp_path / "out"
    arguments = ("-m", "rescale_fast", "run", *QUICK, "--glyph-seed", "7", "--out", out)
    interrupted = 0
    for attempt in range(20):
        with interruptible(*arguments, env=command.environment, start_new_session=True) as process:
            try:
                process.wait(0.9 * 1.3**attempt)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to the whole group
            _, stderr = process.communicate(timeout=60)
        assert "Traceback" not in stderr, f"attempt {attempt}:\n{stderr}"
        assert "leaked" not in stderr, f"attempt {attempt}:\n{stderr}"
        if process.returncode == 0:
            break
        # A shell shows 130 for either. Python ends by the signal itself before its work begins, and inside an import by
        # a C extension.
        assert process.returncode in (130, -signal.SIGINT), stderr
        assert "Interrupted" in stderr or process.returncode == -signal.SIGINT
        assert not list(out.glob("*.tmp")), "half-written files were left behind"
        interrupted += 1
    assert process.returncode == 0
    assert interrupted >= 3
    assert (out / "report.html").exists()
