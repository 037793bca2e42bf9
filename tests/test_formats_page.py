"""docs/formats.md is what the code declares, and true of files written long ago, read here without our readers."""

import json
import re
import sys
from subprocess import run

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rescale_fast.run.commands import main
from scripts.formats_page import PAGE, page
from tests.test_old_files import V1

NOT_READ = {"last_top1", "best_top1", "classes[].label"}  # said so on the page, outside of the tables


def tables(title):
    """The rows of each table in a section of the page, as {name without marks: the other cells}."""
    section = re.split(rf"^## {re.escape(title)}$", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)[1]
    found, rows = [], {}
    for line in (*re.split(r"^## ", section, flags=re.MULTILINE)[0].splitlines(), ""):
        if line.startswith("| `"):
            name, *cells = re.split(r" (?<!\\)\| ", line.removeprefix("| ").removesuffix(" |"))
            rows[name.split("`")[1]] = (*cells, "optional" in name)
        elif rows:
            found.append(rows)
            rows = {}
    return found


def test_the_page_is_what_the_code_declares():
    assert PAGE.read_text(encoding="utf-8") == page(), (
        "run `python -m scripts.formats_page`, and commit what it changes"
    )
    assert not re.search(r"\{\w+\}", page().split("```")[0])


TYPES = {"int32": pa.int32(), "int64": pa.int64(), "float32": pa.float32(), "text": pa.string()}


@pytest.mark.parametrize(
    ("title", "name"),
    [
        ("predictions/part-*.parquet", "predictions/part-000000.parquet"),
        ("scores/part-*.parquet", "scores/part-a.parquet"),
        ("image_subset.parquet", "image_subset.parquet"),
    ],
)
def test_tables_written_long_ago_are_as_the_page_says(title, name):
    columns, *of_meta = tables(title)
    found = pq.read_table(V1 / name)
    assert set(found.column_names) == set(columns)
    for column, (kind, shape, limits, _, _) in columns.items():
        stored = found.schema.field(column).type
        assert (stored.value_type if shape.count(",") == 1 and not shape.endswith(",)") else stored) == TYPES[kind]
        values = [value for value in found[column].to_pylist() if value is not None]
        if limits:
            low, high = (float(one.replace(",", "")) for one in limits.replace("or more", "to inf").split(" to "))
            assert low <= np.min(values) and np.max(values) <= high
    meta = json.loads(found.schema.metadata[b"rescale_fast"])
    assert set(meta) == {"schema", "made_from", "config"}.union(*of_meta)
    assert f"Schema `{meta['schema']}`." in PAGE.read_text(encoding="utf-8")


def test_the_matrix_written_long_ago_is_as_the_page_says():
    (rows,) = tables("confusion.npz")
    with np.load(V1 / "confusion.npz", allow_pickle=False) as found:
        assert set(found.files) == {*rows, "meta"}
        size = len(found["counts"])
        for name, (kind, shape, *_) in rows.items():
            assert found[name].shape == {"(K, K)": (size, size), "(K,)": (size,)}[shape]
            assert found[name].dtype.kind == "U" if kind == "text" else found[name].dtype == kind
        assert set(json.loads(str(found["meta"]))) == {"schema", "made_from", "config"}


def places(value, name=""):
    """{where: the values that stand there} of a JSON; lists of objects as `classes[].id`."""
    found = {}
    for key, item in value.items():
        where = name + key
        if isinstance(item, list) and item and isinstance(item[0], dict) and key in ("classes", "groups"):
            for row in item:
                for place, values in places(row, f"{where}[].").items():
                    found.setdefault(place, []).extend(values)
        else:
            found.setdefault(where, []).append(item)
    return found


def is_as(value, words):
    """Whether a JSON value is what the page's words say."""
    if words.startswith("list of (") or words.startswith("object of ("):
        kind, inner = (list, words[9:-1]) if words.startswith("list") else (dict, words[11:-1])
        return isinstance(value, kind) and all(is_as(one, inner) for one in (value if kind is list else value.values()))
    if words.startswith("one of "):
        return value in words.removeprefix("one of ").split(", ")
    if words.endswith(" or null"):
        return value is None or is_as(value, words.removesuffix(" or null"))
    if words.startswith("a whole number"):
        low = re.search(r", (\d+) to 2\^63 - 1", words)
        return type(value) is int and (low is None or int(low[1]) <= value < 2**63)
    return words == "any JSON" or (words == "text" and isinstance(value, str))


@pytest.mark.parametrize(
    ("title", "name"),
    [
        ("class_subset.json, class_subset.txt", "class_subset.json"),
        ("class_grouping.json", "class_grouping.json"),
        ("train.json, val.json", "train.json"),
        ("folder/, webdataset/, parquet/", ".export.json"),
        ("runs/<network>-<recipe>-seed<n>/", "result.json"),
        ("run.json", "run.json"),
        ("Down-sampled sets: variant.json", "variant.json"),
    ],
)
def test_jsons_written_long_ago_are_as_the_page_says(title, name):
    (rows,) = tables(title)
    stored = json.loads((V1 / name).read_text(encoding="utf-8"))
    found = places(stored)
    origin = {"made_from", "config"} if name != "run.json" else set()
    expected = {place for place, (*_, optional) in rows.items() if not optional} | {"schema"} | origin
    assert expected <= set(found) - (NOT_READ - set(rows)) <= expected | set(rows)
    for place, (words, *_) in rows.items():
        assert all(is_as(value, words) for value in found.get(place, [])), place
    assert f"Schema `{stored['schema']}`." in PAGE.read_text(encoding="utf-8")
    (of_origin,) = tables("What they have in common")
    assert all(is_as(stored[place], words) for place, (words, *_) in of_origin.items() if place in stored)


@pytest.mark.parametrize("name", ["label_errors.csv", "near_duplicates.csv"])
def test_csvs_written_long_ago_have_the_columns_of_the_page(name):
    header = (V1 / name).read_text(encoding="utf-8").splitlines()[0]
    assert header.split(",") in [list(rows) for rows in tables("label_errors.csv, near_duplicates.csv")]


def test_the_example_makes_files_that_are_taken(tmp_path, capsys):
    (example,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert len(example.splitlines()) <= 20
    assert "rescale_fast" not in example
    run([sys.executable, "-W", "error", "-c", example], cwd=tmp_path, check=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["confusion.npz", "part-0.parquet"]
    taken = tmp_path / "taken"
    assert main(["confuse", "--predictions", str(tmp_path / "part-0.parquet"), "--out", str(tmp_path / "own")]) == 0
    arguments = ["--confusion", str(tmp_path / "confusion.npz"), "--k", "2", "--out", str(taken)]
    assert main(["select", *arguments]) == 0, capsys.readouterr().err
    counts = [np.load(folder / "confusion.npz")["counts"].tolist() for folder in (tmp_path / "own", taken)]
    assert counts == [[[2, 0], [1, 1]]] * 2
    assert (taken / "class_subset.txt").read_text() == "ant\nbee\n"
    capsys.readouterr()
