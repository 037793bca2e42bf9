"""`score` and `sample` as a user meets them: reuse, what is made, bad input, Ctrl-C."""

import csv
import shutil
import signal
import subprocess
import time

import numpy as np
import pyarrow.parquet as pq
import pytest

from rescale_fast.confusion import ConfusionMatrix
from rescale_fast.image_subset.scores import Scores
from rescale_fast.image_subset.types import ImageSubset
from tests.conftest import interruptible

GLYPHS = ("--glyph-classes", 12, "--glyph-size", 24, "--glyph-train", 30, "--glyph-val", 10)
QUICK = (*GLYPHS, "--k", 4, "--epochs", 1, "--train-batch-size", 16, "--device", "cpu")
SCORE = ("--score-epochs", 25, "--score-batch-size", 16, "--device", "cpu")
WANTED = ("--images", "difficulty", "--per-class", 15, "--label-errors", "list", "--near-duplicates", 3)


@pytest.fixture(scope="module")
def finished(command, tmp_path_factory):
    """A run by difficulty, all reviews wanted; what it said."""
    out = tmp_path_factory.mktemp("run") / "out"
    code, _, stderr = command("run", *QUICK, *SCORE, *WANTED, "--out", out)
    assert code == 0, stderr
    return out, stderr


def copy(finished, tmp_path):
    out = tmp_path / "copy"
    shutil.copytree(finished[0], out)
    return out


def test_a_run_by_difficulty_scores_and_leaves_everything_to_review(finished, command):
    out, stderr = finished
    subset, scores = ImageSubset.load(out / "image_subset.parquet"), Scores.load(out / "scores")
    assert np.bincount(subset.train.new_labels).tolist() == [15] * 4
    assert len(scores.paths) == 4 * 30
    assert scores.probabilities.shape == (120, 4)
    assert set(subset.train.paths) < set(scores.paths)
    assert not (out / "scores" / "betons").exists()
    assert "Exception ignored" not in stderr
    assert subset.facts.keys() == {"label_errors", "near_duplicates"}
    assert {"dataset", "class_subset", "scores", "predictions"} == subset.origin.made_from.keys()
    for name, count in (("label_errors.csv", "label_errors"), ("near_duplicates.csv", "near_duplicates")):
        with (out / name).open(newline="") as file:
            assert len(list(csv.reader(file))) == 1 + subset.facts[count]
    assert "likely label error" in (out / "review.html").read_text(encoding="utf-8")
    assert '"images": "difficulty"' in (out / "report.html").read_text(encoding="utf-8").replace("&#34;", '"')
    code, _, again = command("run", *QUICK, *SCORE, *WANTED, "--out", out)
    assert code == 0, again
    assert all(f"{stage}  " in again for stage in ("score", "sample"))
    assert again.count("(reused)") == 8


def test_other_choices_start_from_the_same_scores(finished, command, tmp_path):
    out = copy(finished, tmp_path)
    lines = {}
    for name, arguments in {
        "random": ("--per-class", 7, "--sample-seed", 5),
        "set": ("--images", "difficulty", "--per-class", 29, "--evenly-over", "set"),
        "share": ("--val-share", 0.5),
        "dropped": ("--label-errors", "drop"),
        "sensitive": ("--images", "sensitive"),
    }.items():
        code, _, stderr = command("sample", "--out", out, *arguments)
        assert code == 0, stderr
        lines[name] = (stderr, ImageSubset.load(out / "image_subset.parquet"))
    assert np.bincount(lines["random"][1].train.new_labels).tolist() == [7] * 4
    assert len(lines["set"][1].train) == 4 * 29
    assert [len(lines["share"][1].split(split)) for split in ("train", "val")] == [80, 80]
    dropped = lines["dropped"][1]
    assert len(dropped.train) + len(dropped.val) == 160 - dropped.facts["label_errors"]
    assert "left out; see review.html" in lines["dropped"][0]
    confusion, sensitive = ConfusionMatrix.load(out / "confusion.npz"), lines["sensitive"][1]
    chosen = [confusion.class_ids.index(one) for one in sensitive.class_ids]
    errors = confusion.counts.sum(axis=1) - np.diag(confusion.counts)
    assert np.bincount(sensitive.val.new_labels).tolist() == errors[chosen].tolist()


def test_corrections_are_applied_first_and_their_own_file_is_not_overwritten(finished, command, tmp_path):
    out = copy(finished, tmp_path)
    subset = ImageSubset.load(out / "image_subset.parquet")
    path, other = subset.train.paths[0], subset.class_ids[1]
    (tmp_path / "c.csv").write_text(f"path,class\n{path},{other}\n")
    code, _, stderr = command("sample", "--out", out, "--corrections", tmp_path / "c.csv", "--label-errors", "list")
    assert code == 0, stderr
    made = ImageSubset.load(out / "image_subset.parquet")
    assert made.train.new_labels[made.train.paths.index(path)] == 1
    assert path not in (out / "label_errors.csv").read_text()
    before = (out / "label_errors.csv").read_bytes()
    own = ("--corrections", out / "label_errors.csv", "--label-errors", "list")
    code, _, stderr = command("sample", "--out", out, *own)
    assert (code, "would be overwritten. Pass a copy" in stderr) == (2, True)
    assert (out / "label_errors.csv").read_bytes() == before


def test_bad_input_is_explained(finished, command, tmp_path):
    out = copy(finished, tmp_path)
    table = pq.read_table(out / "scores" / "part-a.parquet").replace_schema_metadata()
    pq.write_table(table, tmp_path / "half.parquet")
    for arguments, expected, message in (
        (("--per-class", 31), 1, "have fewer than 31 training images"),
        (("--images", "random"), 2, "needs --per-class or --configuration"),
        (("--configuration", "N200-M500"), 2, "4 classes were chosen. `rescale-fast select --k 200` first"),
        (("--corrections", tmp_path / "no.csv"), 2, "no.csv: no such file"),
        (("--images", "difficulty", "--per-class", 5, "--scores", tmp_path / "no"), 2, "--scores"),
        (("--images", "difficulty", "--per-class", 5, "--scores", tmp_path / "half.parquet"), 1, "have no score"),
        (("--images", "sensitive", "--predictions", tmp_path / "no"), 2, "--predictions"),
    ):
        code, _, stderr = command("sample", "--out", out, *arguments)
        assert code == expected, stderr
        assert message in stderr
        assert "Traceback" not in stderr
    shutil.rmtree(out / "scores")
    code, _, stderr = command("sample", "--out", out, "--images", "difficulty", "--per-class", 5)
    assert code == 1
    assert f"`rescale-fast score --out {out}` makes it" in stderr
    code, _, stderr = command("score", "--out", out, "--score-batch-size", 61, "--device", "cpu")
    assert code == 2
    assert "fewer than one batch of 61" in stderr


def test_ctrl_c_while_scoring_leaves_nothing_half_done(finished, command, tmp_path):
    out = copy(finished, tmp_path)
    shutil.rmtree(out / "scores")
    arguments = ("-m", "rescale_fast", "score", "--out", out, "--score-epochs", "100000", "--device", "cpu")
    with interruptible(*arguments, env=command.environment, start_new_session=True) as process:
        deadline = time.monotonic() + 120
        while not list(out.glob("scores/betons/val.json")) and time.monotonic() < deadline:
            time.sleep(0.05)
        time.sleep(8)  # by when it trains, or compiles FFCV's loader
        process.send_signal(signal.SIGINT)
        start = time.monotonic()
        try:
            _, stderr = process.communicate(timeout=60)
        except subprocess.TimeoutExpired:
            raise AssertionError("Ctrl-C went unheard") from None
    assert time.monotonic() - start < 20
    assert process.returncode in (130, -signal.SIGINT), stderr
    assert "Traceback" not in stderr
    assert not (out / "scores").exists() or not list((out / "scores").iterdir())
