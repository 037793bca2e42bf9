"""Names of classes and files come from anywhere: nothing that we print or write may obey them."""

import base64
import csv
import hashlib
import io
import re
from html.parser import HTMLParser

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from rich.console import Console

from rescale_fast import terminal
from rescale_fast.artifact import Origin
from rescale_fast.files.csv_files import bare, guarded, write_csv
from rescale_fast.predictions.types import Predictions
from rescale_fast.run.commands import main
from rescale_fast.train.table import Cell, markdown, write_table
from tests.test_train_table import run

SCRIPT = "<img src=x onerror=alert(1)>"
FORMULA = '=HYPERLINK("evil","x")'
CLASSES = sorted((FORMULA, SCRIPT + "$x^$", "[red]\u202eclass"))


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A run on a data set of hostile names, with everything that there is to review."""
    root, out = tmp_path_factory.mktemp("data"), tmp_path_factory.mktemp("run") / "out"
    rng = np.random.default_rng(0)
    paths = {"train": [], "val": []}
    images = rng.integers(0, 256, (3, 8, 32, 32, 3)).astype(np.uint8)  # the same in both splits
    for split in paths:
        for class_id, pixels in zip(CLASSES, images, strict=True):
            folder = root / split / class_id
            folder.mkdir(parents=True)
            for number in range(8):
                Image.fromarray(pixels[number]).save(folder / f"{SCRIPT}{number}\x1b[2J.jpg")
                paths[split].append(f"{split}/{class_id}/{SCRIPT}{number}\x1b[2J.jpg")
    count = len(paths["val"])
    labels = np.repeat(np.arange(3), 8)
    called = np.where(np.arange(count) % 8 == 0, (labels + 1) % 3, labels)  # one of each class, surely wrong
    top_ids = np.stack([called, (called + 1) % 3, (called + 2) % 3], axis=1)
    predictions = Predictions(
        origin=Origin({}, {}),
        class_ids=tuple(CLASSES),
        class_names=tuple(CLASSES),
        indices=np.arange(count),
        paths=tuple(paths["val"]),
        labels=labels,
        top_ids=top_ids,
        top_probabilities=np.tile(np.float32([0.98, 0.01, 0.01]), (count, 1)),
        true_probability=np.where(called == labels, 0.98, 0.01).astype(np.float32),
        skipped=(),
    )
    predictions.save(out.parent / "predictions.parquet")
    probabilities = np.full((count, 3), 0.05, np.float32)
    probabilities[np.arange(count), labels] = 0.9
    scores = {"path": paths["train"], "label": labels, "true_probability": probabilities.max(axis=1)}
    pq.write_table(pa.table({**scores, "probabilities": list(probabilities)}), out.parent / "scores.parquet")
    stderr = io.StringIO()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.stderr", stderr)
        code = main(
            [
                *("run", "--dataset", "folder", "--root", str(root), "--out", str(out), "--k", "3"),
                *("--predictions", str(out.parent / "predictions.parquet"), "--label-errors", "list"),
                *(
                    "--near-duplicates",
                    "4",
                    "--scores",
                    str(out.parent / "scores.parquet"),
                    "--train-network",
                    "small",
                    "--epochs",
                    "1",
                    "--train-size",
                    "32",
                ),
                *("--train-batch-size", "8", "--device", "cpu"),
            ]
        )
    assert code == 0, stderr.getvalue()
    return out, stderr.getvalue()


class Page(HTMLParser):
    def __init__(self):
        super().__init__()
        self.tags, self.attributes, self.text = set(), set(), []

    def handle_starttag(self, tag, attributes):
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attributes}

    def handle_data(self, data):
        self.text.append(data)


@pytest.mark.parametrize("name", ["report.html", "review.html"])
def test_pages_show_hostile_names_as_text(finished, name):
    page = Page()
    page.feed((finished[0] / name).read_text(encoding="utf-8"))
    text = (finished[0] / name).read_text(encoding="utf-8")
    scripts = re.findall(r"<script([^>]*)>(.*?)</script>", text, re.S)
    data = ' type="application/json" id="heat-data"'
    assert dict(scripts).keys() <= {"", data}  # the pages' own, and what it reads
    digest = base64.b64encode(hashlib.sha256(dict(scripts)[""].encode()).digest()).decode()
    assert f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'" in text
    assert not {"iframe", "object", "embed", "link", "base"} & page.tags
    assert not any(attribute.startswith("on") for attribute in page.attributes)
    assert SCRIPT in "".join(page.text)
    assert FORMULA in "".join(page.text)
    assert r"[red]\u202eclass" in "".join(page.text)
    assert "\u202e" not in "".join(page.text)


@pytest.mark.parametrize("name", ["label_errors.csv", "near_duplicates.csv"])
def test_no_cell_of_a_csv_is_a_formula(finished, name):
    with (finished[0] / name).open(newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))
    assert len(rows) > 1
    assert not [cell for row in rows for cell in row if cell[:1] in "=+-@\t\r" and cell]
    assert name != "label_errors.csv" or any(guarded(FORMULA) in row for row in rows)


def test_the_list_of_label_errors_still_reads_as_corrections(finished, capsys):
    out = finished[0]
    code = main(["sample", "--out", str(out), "--corrections", str(out / "label_errors.csv")])
    assert code == 0, capsys.readouterr().err


def test_what_is_said_holds_no_control_character(finished, capsys):
    out, stderr = finished
    subset = str(out / "class_subset.json")
    assert main(["compare", subset, "--confusion", str(out / "confusion.npz")]) == 0
    assert main(["report", "--out", str(out)]) == 0
    captured = capsys.readouterr()
    for text in (stderr, captured.out, captured.err):
        assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e]", text)


@pytest.mark.parametrize("cell", ["=1+1", "+1", "-1", "@x", "'", "'=1", "''=1", "plain", "", "a=b", "\t=1", "'plain"])
def test_guarded_cells_read_back_as_they_were(tmp_path, cell):
    write_csv(tmp_path / "t.csv", ["name", "number"], [(cell, -1.5)])
    with (tmp_path / "t.csv").open(newline="", encoding="utf-8") as file:
        _, (name, number) = csv.reader(file)
    assert bare(name) == cell
    assert not name.startswith(("=", "+", "-", "@", "\t", "\r"))
    assert number == "-1.5"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[2Jgone", r"\x1b[2Jgone"),
        ("a\rb", r"a\rb"),
        ("\x9b31m", r"\x9b31m"),
        ("\u202egnp.exe", r"\u202egnp.exe"),
        ("\udcff.jpg", r"\udcff.jpg"),
        ("two\nlines\tand a tab", "two\nlines\tand a tab"),
        ("Kranich \u9db4 \xa0 \u3000", "Kranich \u9db4 \xa0 \u3000"),
    ],
)
def test_control_characters_are_shown_and_not_obeyed(capsys, text, shown):
    terminal.say(text)
    terminal.complain(text)
    terminal.show(text)
    assert capsys.readouterr() == (shown + "\n", 2 * (shown + "\n"))


def test_an_ascii_terminal_is_no_reason_to_fail(monkeypatch):
    raw = io.BytesIO()
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(raw, encoding="ascii"))
    terminal.show("\u9db4")
    assert raw.getvalue() == b"\\u9db4\n"


def test_a_progress_bar_takes_names_as_they_are(monkeypatch):
    drawn = io.StringIO()
    monkeypatch.setattr("rich.console.Console", lambda **_: Console(file=drawn, force_terminal=True, width=200))
    with terminal._bar("Writing [red]x\x1b]0;title\x07", 2, "images") as advance:
        advance(1, "[/nothing]")
    assert "[red]x" in drawn.getvalue()
    assert "\x1b]0;" not in drawn.getvalue()


def test_a_table_of_networks_takes_subsets_of_any_name(tmp_path):
    cell = Cell("net", "=a|b $x^$", (run("net", 0, 0.5),), "")
    assert r"=a\|b" in markdown([cell], "title")
    write_table([cell], "$y^$", tmp_path / "table")
    assert "'=a|b" in (tmp_path / "table.csv").read_text(encoding="utf-8")
    assert (tmp_path / "table.png").read_bytes().startswith(b"\x89PNG")
