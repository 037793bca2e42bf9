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
from rescale_fast.image_subset.types import ImageSubset
from rescale_fast.run.commands import main
from rescale_fast.scores.types import Scores
from tests.conftest import interruptible

GLYPHS = ("--glyph-classes", 12, "--glyph-size", 24, "--glyph-train", 30, "--glyph-val", 10)
QUICK = (*GLYPHS, "--k", 4, "--epochs", 1, "--train-batch-size", 16, "--device", "cpu")
SCORE = ("--score-epochs", 2, "--score-batch-size", 16, "--device", "cpu")
WANTED = ("--images", "difficulty", "--per-class", 15, "--label-errors", "list", "--near-duplicates", 3)


@pytest.fixture(scope="module")
def finished(command, tmp_path_factory):
    """A run by difficulty, all reviews wanted; what it said."""
    out = tmp_path_factory.mktemp("run") / "out"
    code, _, stderr = command("run", *QUICK, *SCORE, *WANTED, "--out", out)
    assert code == 0, stderr
    return out, stderr


@pytest.fixture
def sample(command, monkeypatch, capsys):
    """Runs `rescale-fast sample` (or another command) in this process, which is quicker; gives (exit code, stderr)."""
    monkeypatch.setenv("XDG_CACHE_HOME", command.environment["XDG_CACHE_HOME"])

    def run(*arguments, name="sample"):
        code = main([name, *map(str, arguments)])
        return code, capsys.readouterr().err

    return run


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


def test_other_choices_start_from_the_same_scores(finished, sample, tmp_path):
    out = copy(finished, tmp_path)
    lines = {}
    for name, arguments in {
        "random": ("--per-class", 7, "--sample-seed", 5),
        "set": ("--images", "difficulty", "--per-class", 29, "--evenly-over", "set"),
        "share": ("--val-share", 0.5),
        "sensitive": ("--images", "sensitive"),
    }.items():
        code, stderr = sample("--out", out, *arguments)
        assert code == 0, stderr
        lines[name] = (stderr, ImageSubset.load(out / "image_subset.parquet"))
    assert np.bincount(lines["random"][1].train.new_labels).tolist() == [7] * 4
    assert len(lines["set"][1].train) == 4 * 29
    assert [len(lines["share"][1].split(split)) for split in ("train", "val")] == [80, 80]
    confusion, sensitive = ConfusionMatrix.load(out / "confusion.npz"), lines["sensitive"][1]
    chosen = [confusion.class_ids.index(one) for one in sensitive.class_ids]
    errors = confusion.counts.sum(axis=1) - np.diag(confusion.counts)
    assert np.bincount(sensitive.val.new_labels).tolist() == errors[chosen].tolist()


def test_errors_named_by_scores_made_elsewhere_are_left_out_or_relabelled(finished, sample, tmp_path):
    out = copy(finished, tmp_path)
    shutil.rmtree(out / "predictions")
    scores = pq.read_table(out / "scores").select(["path", "label"])
    found = ImageSubset.load(out / "image_subset.parquet")
    label = {one: i for i, one in enumerate(found.class_ids)}
    paths = scores["path"].to_pylist()
    likely = {path: label[path.split("/")[1]] for path in paths}
    wrong = {path: (likely[path] + 1) % 4 for path in paths[:40:5]}
    likely |= wrong
    p = np.where(np.array([likely[path] for path in paths])[:, None] == np.arange(4), 0.97, 0.01)
    true = [p[i, label[path.split("/")[1]]] for i, path in enumerate(paths)]
    table = scores.append_column("true_probability", [true]).append_column("probabilities", [list(p)])
    pq.write_table(table, tmp_path / "own.parquet")
    own = ("--scores", tmp_path / "own.parquet", "--out", out)
    for what, word in (("drop", "left out"), ("relabel", "relabelled")):
        code, stderr = sample(*own, "--label-errors", what)
        assert code == 0, stderr
        assert "no predictions here, so label errors are looked for in train only" in stderr
        assert f"8 likely label errors {word}; see review.html" in stderr
        made = ImageSubset.load(out / "image_subset.parquet")
        now = dict(zip(made.train.paths, made.train.new_labels.tolist(), strict=True))
        assert {path: now.get(path) for path in wrong} == (wrong if what == "relabel" else dict.fromkeys(wrong))
        assert len(made.train) == (120 if what == "relabel" else 112)


def test_corrections_are_applied_first_and_their_own_file_is_not_overwritten(finished, sample, tmp_path):
    out = copy(finished, tmp_path)
    subset = ImageSubset.load(out / "image_subset.parquet")
    path, other = subset.train.paths[0], subset.class_ids[1]
    (tmp_path / "c.csv").write_text(f"path,class\n{path},{other}\n")
    code, stderr = sample("--out", out, "--corrections", tmp_path / "c.csv", "--label-errors", "list")
    assert code == 0, stderr
    made = ImageSubset.load(out / "image_subset.parquet")
    assert made.train.new_labels[made.train.paths.index(path)] == 1
    assert path not in (out / "label_errors.csv").read_text()
    before = (out / "label_errors.csv").read_bytes()
    own = ("--corrections", out / "label_errors.csv", "--label-errors", "list")
    code, stderr = sample("--out", out, *own)
    assert (code, "would be overwritten. Pass a copy" in stderr) == (2, True)
    assert (out / "label_errors.csv").read_bytes() == before


def test_bad_input_is_explained(finished, sample, tmp_path):
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
        code, stderr = sample("--out", out, *arguments)
        assert code == expected, stderr
        assert message in stderr
        assert "Traceback" not in stderr
    shutil.rmtree(out / "scores")
    code, stderr = sample("--out", out, "--images", "difficulty", "--per-class", 5)
    assert code == 1
    assert f"`rescale-fast score --out {out}` makes it" in stderr
    code, stderr = sample("--out", out, "--score-batch-size", 1, name="score")
    assert (code, "--score-batch-size 1: expected a whole number, 2 or more" in stderr) == (2, True)


def test_ctrl_c_while_scoring_leaves_nothing_half_done(finished, command, tmp_path):
    out = copy(finished, tmp_path)
    shutil.rmtree(out / "scores")
    arguments = ("-m", "rescale_fast", "score", "--out", out, "--score-epochs", "100000", "--device", "cpu")
    with interruptible(*arguments, env=command.environment, start_new_session=True) as process:
        deadline = time.monotonic() + 120
        while not list(out.glob("scores/betons/b.json")):
            assert time.monotonic() < deadline
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
