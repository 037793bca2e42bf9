"""Bring your own: tables and matrices as pandas, polars, R, NumPy and scikit-learn leave them, and what is none."""

import io
import json
import struct
import zipfile

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rescale_fast.class_subset.lists import read_list
from rescale_fast.class_subset.types import ClassSubset
from rescale_fast.confusion import ConfusionMatrix
from rescale_fast.datasets.folder import open_folder
from rescale_fast.errors import ArtifactError, SettingError
from rescale_fast.evaluate import read_guesses, read_truth
from rescale_fast.files.arrays import read_npz
from rescale_fast.predictions.types import Predictions
from rescale_fast.run.commands import main
from rescale_fast.scores.types import Scores
from rescale_fast.small.batches import read_batch
from tests.photos import encoded, photo

IDS = ("ant", "bee", "cat")
COUNTS = [[3, 1, 0], [0, 4, 2], [1, 0, 5]]
EYE = np.eye(2, dtype=int)
PATHS = [f"val/{IDS[i % 3]}/{i}.jpg" for i in range(6)]
LABELS = [0, 1, 2, 0, 1, 2]
TOP = [[0, 1, 2], [1, 2, 0], [0, 2, 1], [0, 1, 2], [2, 1, 0], [2, 0, 1]]
CONFUSED = [[2, 0, 0], [0, 1, 1], [1, 0, 1]]
PROBABILITIES = [[0.5, 0.25, 0.125]] * 6


def table(**changes):
    columns = {
        "path": pa.array(PATHS),
        "label": pa.array(LABELS),
        "top_ids": pa.array(TOP),
        "top_probabilities": pa.array(PROBABILITIES),
        "true_probability": pa.array([0.5] * 6),
    } | changes
    return pa.table({name: column for name, column in columns.items() if column is not None})


def lists(rows, kind, size=None):
    return pa.array(rows, pa.list_(kind) if size is None else pa.list_(kind, size))


PANDAS = {b"pandas": b'{"index_columns": ["__index_level_0__"], "columns": []}'}
TABLES = {
    "pyarrow": table(),
    "pandas: an index, and its metadata":
    table(__index_level_0__=pa.array(list("abcdef"))).replace_schema_metadata(PANDAS),
    "pandas: categories and nullable integers":
    table(path=pa.array(PATHS).dictionary_encode(), label=pa.array(LABELS, pa.int8())),
    "pandas: labels that became floats": table(label=pa.array([float(one) for one in LABELS])),
    "pandas: nothing skipped, as a column of floats": table(skipped=pa.nulls(6, pa.float64())),
    "polars: large texts and lists":
    table(path=pa.array(PATHS, pa.large_string()), top_ids=pa.array(TOP, pa.large_list(pa.int64()))),
    "polars: arrays, small integers": table(label=pa.array(LABELS, pa.uint8()), top_ids=lists(TOP, pa.uint16(), 3),
        top_probabilities=lists(PROBABILITIES, pa.float32(), 3)),
    "polars: nulls without a type": table(skipped=pa.nulls(6), note=pa.nulls(6)),
    "half precision": table(top_probabilities=lists(np.float16(PROBABILITIES).tolist(), pa.float16()),
        true_probability=pa.array(np.float16([0.5] * 6))),
    "views": table(path=pa.array(PATHS, pa.string_view())),
    "unsigned": table(label=pa.array(LABELS, pa.uint64()), top_ids=lists(TOP, pa.uint64())),
    "another order of columns, and positions": table(index=pa.array(range(6))).select(
        ["true_probability", "index", "top_probabilities", "top_ids", "label", "path"]),
}  # fmt: skip


@pytest.mark.parametrize("found", TABLES.values(), ids=TABLES)
def test_predictions_of_any_program_are_taken(tmp_path, found):
    pq.write_table(found, tmp_path / "own.parquet")
    made = Predictions.load(tmp_path / "own.parquet")
    assert (made.paths, made.labels.tolist(), made.top_ids.tolist()) == (tuple(PATHS), LABELS, TOP)
    assert (made.class_ids, made.class_names, made.indices.tolist()) == (
        ("0", "1", "2"),
        ("0", "1", "2"),
        list(range(6)),
    )
    np.testing.assert_array_equal(made.top_probabilities, np.float32(PROBABILITIES))
    named = Predictions.load(tmp_path / "own.parquet", class_ids=(*IDS, "dog"), class_names=(*IDS, "Dog"))
    assert (named.class_ids, named.class_names) == ((*IDS, "dog"), (*IDS, "Dog"))


def test_skipped_files_and_several_parts_of_ones_own(tmp_path):
    bad = table(
        skipped=pa.array([None] * 5 + ["cut short"]),
        true_probability=pa.array([0.5] * 5 + [None]),
        top_ids=pa.array([*TOP[:5], None]),
        top_probabilities=pa.array([*PROBABILITIES[:5], None]),
    )
    pq.write_table(bad.slice(0, 2), tmp_path / "part-0.parquet")  # which alone knows of two classes
    pq.write_table(bad.slice(2), tmp_path / "part-1.parquet")
    made = Predictions.load(tmp_path)
    assert (made.paths, made.indices.tolist()) == (tuple(PATHS[:5]), [0, 1, 2, 3, 4])
    assert [(one.index, one.path, one.reason) for one in made.skipped] == [(5, PATHS[5], "cut short")]
    assert made.class_ids == ("0", "1", "2")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"label": None}, "has the columns path, top_ids, .*; label is missing"),
        ({"label": pa.array(["a"] * 6)}, "label holds string, expected int32"),
        ({"label": pa.array([0.5] * 6)}, "label holds double that cannot be int32"),
        ({"label": pa.array([2**63] * 6, pa.uint64())}, "label holds uint64 that cannot be int32"),
        ({"label": pa.array([0, 1, None, 0, 1, 2])}, r"label\[2\] is missing"),
        ({"label": pa.array([0, 1, 2, 0, 1, -1])}, r"label\[5\] is -1, expected 0 to"),
        ({"label": pa.array([0, 1, 2, 0, 1, 3])}, "names class 3, and there are 3 classes, numbered from 0"),
        ({"path": pa.array(["a", "b", "c", "d", "e", "a"])}, "image 'a' is in more than one place"),
        ({"index": pa.array([0, 1, 2, 3, 4, 4])}, "image 4 is in more than one place"),
        ({"top_ids": pa.array([*TOP[:5], [1]])}, "top_ids has lists of 1 to 3 numbers"),
        ({"top_ids": pa.array([*TOP[:5], [0, 1, None]])}, "top_ids has lists in which a number is missing"),
        ({"top_ids": pa.array([*TOP[:5], [0, 1, 1]])}, r"top_ids\[5\] names a class twice"),
        ({"top_ids": pa.array([[]] * 6, pa.list_(pa.int32()))}, "top_ids has lists of no numbers"),
        ({"top_ids": pa.array(LABELS)}, "top_ids holds int64, expected list"),
        ({"top_probabilities": pa.array([[0.1, 0.2, 0.3]] * 6)}, r"top_probabilities\[0\] is not best first \(6 such"),
        ({"top_probabilities": pa.array([[7.5, 2.0, 0.3]] * 6)}, r"top_probabilities\[0, 0\] is 7.5 \(12 such"),
        ({"top_probabilities": pa.array([[0.5, 0.2]] * 6)}, "but top_ids says that T is 3"),
        ({"true_probability": pa.array([np.nan] * 6)}, r"true_probability\[0\] is nan"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_predictions_is_named(tmp_path, changes, message):
    pq.write_table(table(**changes), tmp_path / "own.parquet")
    with pytest.raises(ArtifactError, match=f"own.parquet: .*{message}"):
        Predictions.load(tmp_path / "own.parquet", class_ids=IDS)


def test_scores_of_any_program_are_taken(tmp_path):
    columns = {
        "path": pa.array(PATHS, pa.large_string()),
        "label": pa.array(LABELS, pa.uint8()),
        "true_probability": pa.array([0.5, 0.5, 0.5, 0.5, 0.5, None], pa.float64()),
        "probabilities": pa.array([[0.5, 0.25, 0.25]] * 5 + [None], pa.large_list(pa.float64())),
        "skipped": pa.array([None] * 5 + ["cut short"]).dictionary_encode(),
    }
    pq.write_table(pa.table(columns), tmp_path / "own.parquet")
    made = Scores.load(tmp_path / "own.parquet")
    assert (made.paths, made.labels.tolist(), made.skipped) == (tuple(PATHS), LABELS, (None,) * 5 + ("cut short",))
    np.testing.assert_array_equal(made.probabilities, np.float32([[0.5, 0.25, 0.25]] * 5 + [[np.nan] * 3]))


def spread(rows, between=","):
    return "".join(between.join(map(str, row)) + "\n" for row in rows)


NAMED = [["", *IDS], *([one, *row] for one, row in zip(IDS, COUNTS, strict=True))]
NUMBERED = [["", 0, 1, 2], *([i, *row] for i, row in enumerate(COUNTS))]
MATRICES = {
    "bare": (spread(COUNTS), None),
    "bare, numpy.savetxt": ("".join(" ".join(f"{one:.18e}" for one in row) + "\n" for row in COUNTS), None),
    "numpy.savetxt with a header": ("# " + ",".join(IDS) + "\n" + spread(COUNTS), IDS),
    "a comment, spaces": ("# made by hand, today\n" + spread(COUNTS, " "), None),
    "pandas": (spread(NUMBERED), None),
    "pandas without an index": (spread([[0, 1, 2], *COUNTS]), None),
    "pandas with names": (spread(NAMED), IDS),
    "pandas with names, index=False": (spread([IDS, *COUNTS]), IDS),
    "pandas with names, header=False": (spread(NAMED[1:]), IDS),
    "pandas.crosstab": ("true" + spread(NAMED), IDS),
    "a spreadsheet: semicolons, a byte order mark": ("\ufeff" + spread(NAMED, ";"), IDS),
    "tabs, floats, Windows's line ends": (spread(NAMED, "\t").replace("4", "4.0").replace("\n", "\r\n"), IDS),
    "R: no corner, quotes": ('"ant","bee","cat"\n' + spread([[f'"{row[0]}"', *row[1:]] for row in NAMED[1:]]), IDS),
    "blanks around": (spread(NAMED, " , ") + "\n\n", IDS),
}


@pytest.mark.parametrize(("text", "ids"), MATRICES.values(), ids=MATRICES)
def test_a_matrix_in_a_text_is_taken(tmp_path, text, ids):
    (tmp_path / "c.csv").write_bytes(text.encode())
    made = ConfusionMatrix.load(tmp_path / "c.csv")
    assert made.counts.tolist() == COUNTS and made.soft.tolist() == COUNTS
    assert made.class_ids == made.class_names == (ids or ("0", "1", "2"))
    made = ConfusionMatrix.load(tmp_path / "c.csv", class_ids=("x", "y", "z"), class_names=("X", "Y", "Z"))
    assert (made.class_ids, made.class_names) == ((ids, ids) if ids else (("x", "y", "z"), ("X", "Y", "Z")))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "has 0 lines that are not empty"),
        ("1,2\n3,4\n5,6\n7,8\n", "has 4 lines of 2 cells"),
        ("1,2\n3\n4,5\n", "line 2 has 1 cells, the last one 2"),
        ("1,2\n3,x\n", "row 1, column 1 is 'x', expected a number"),
        (",a,b\nb,1,2\na,3,4\n", "column 0 is 'a' and row 0 is 'b', expected one class"),
        (",a,a\na,1,2\na,3,4\n", "class id 'a' occurs more than once"),
        ("1,-2\n3,4\n", r"counts\[0, 1\] is -2, expected 0 or more"),
        ("1,0.5\n3,4\n", r"counts\[0, 1\] is 0.5, expected whole numbers"),
        ("1,nan\n3,4\n", "row 0, column 1 is 'nan', expected a number"),
        ('1,"2\n3,4\n', "not readable as a table of numbers"),
        ("1,1e300\n3,4\n", r"counts\[0, 1\] is 1e\+300, expected whole"),
        ("1,99999999999999999999\n3,4\n", r"counts\[0, 1\] is 1e\+20, expected whole"),
    ],
)
def test_a_text_that_is_no_matrix_is_refused(tmp_path, text, message):
    (tmp_path / "c.csv").write_text(text)
    with pytest.raises(ArtifactError, match=f"c.csv: .*{message}"):
        ConfusionMatrix.load(tmp_path / "c.csv")


@pytest.mark.parametrize(
    ("arrays", "ids"),
    [
        ({"arr_0": np.array(COUNTS)}, None),
        ({"counts": np.array(COUNTS, np.float32)}, None),
        ({"counts": np.array(COUNTS, ">u2"), "wnids": np.array(IDS)}, IDS),
        ({"counts": np.array(COUNTS), "class_ids": np.array([one.encode() for one in IDS])}, IDS),
        ({"counts": np.array(COUNTS), "class_ids": np.array(IDS)[:, None]}, IDS),
        ({"counts": np.array(COUNTS), "class_ids": np.array(IDS)[None]}, IDS),
        ({"counts": np.array(COUNTS), "class_ids": np.arange(3)}, None),
        (
            {"counts": np.asfortranarray(COUNTS), "class_ids": np.array(["käfer".encode(), b"b", b"c"])},
            ("käfer", "b", "c"),
        ),
    ],
)
def test_arrays_of_any_kind_that_mean_the_same_are_taken(tmp_path, arrays, ids):
    np.savez(tmp_path / "c.npz", **arrays)
    made = ConfusionMatrix.load(tmp_path / "c.npz", class_ids=("x", "y", "z"))
    assert (made.counts.tolist(), made.counts.dtype, made.class_ids) == (COUNTS, np.int64, ids or ("x", "y", "z"))
    np.save(tmp_path / "c.npy", np.array(COUNTS, np.uint16))
    assert ConfusionMatrix.load(tmp_path / "c.npy").counts.tolist() == COUNTS


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"counts": np.full((2, 2), 2**63, np.uint64)}, r"counts\[0, 0\] is 9223372036854775808 \(4 such"),
        ({"counts": np.full((2, 2), 2**62)}, "counts add up to 1.84e\\+19 images"),
        ({"counts": np.array([[1, np.nan], [0, 1]])}, r"counts\[0, 1\] is nan"),
        ({"counts": np.eye(2, dtype=bool)}, r"counts is \(2, 2\) of bool, expected"),
        ({"counts": np.zeros((0, 0), int)}, "counts are empty"),
        ({"counts": EYE, "soft": -np.eye(2)}, r"soft\[0, 0\] is -1.0 \(2 such values\), expected 0 or more"),
        ({"counts": EYE, "soft": np.full((2, 2), np.nan)}, r"soft\[0, 0\] is nan"),
        ({"counts": EYE, "soft": np.full((2, 2), np.inf)}, r"soft\[0, 0\] is inf"),
        ({"counts": EYE, "soft": np.eye(3)}, "soft has the shape .3, 3., but counts says that K is 2"),
        ({"counts": EYE, "class_ids": np.array([b"\xff", b"a"])}, "bytes that are no UTF-8"),
        ({"counts": EYE, "class_ids": np.array(["a", "b\nc"])}, r"class_ids\[1\] is 'b\\nc', expected an id without"),
        ({"counts": EYE, "class_ids": np.array(["a", "\x1b[2J"])}, r"class_ids\[1\] is '\\x1b\[2J'"),
        ({"counts": EYE, "class_ids": np.array(["a", ""])}, r"class_ids\[1\] is '', expected an id"),
        ({"counts": EYE, "class_ids": np.array([["a", "b"], ["c", "d"]])}, r"class_ids has the shape \(2, 2\)"),
        ({"counts": EYE, "class_ids": np.array([0.5, 1.5])}, "class_ids holds float64, expected texts"),
    ],
)  # fmt: skip
def test_arrays_that_mean_something_else_are_refused(tmp_path, arrays, message):
    np.savez(tmp_path / "c.npz", **arrays)
    with pytest.raises(ArtifactError, match=f"c.npz: .*{message}"):
        ConfusionMatrix.load(tmp_path / "c.npz")


def npy(shape, kind="<i8", content=b""):
    header = f"{{'descr': {kind!r}, 'fortran_order': False, 'shape': {shape}, }}".encode().ljust(117) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + content


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (npy("(1048576, 1048576)"), "takes 128 bytes"),
        (npy("(-1, -1)", content=bytes(8)), "counts has a shape that no array has"),
        (npy("(2, 2)", "|O", bytes(32)), "expected an array of numbers"),
        (npy("(2, 2)", "<M8[s]", bytes(32)), "expected an array of numbers"),
        (npy("(2, 2)", content=bytes(31)), "takes 159 bytes"),
        (npy("(2, 2)", content=bytes(33)), "takes 161 bytes"),
        (npy("(9" + "9" * 4000 + ",)"), "counts has a shape that no array has"),
        (npy("__import__('os').system('touch evil')"), "not readable"),
        (npy("(" * 900 + ")" * 900), "not readable"),
        (b"\x93NUMPY\x01\x00\xff\xff{", "not readable"),
        (b"\x93NUMPY\x09\x00", "version .9, 0."),
        (b"", "not readable"),
    ],
)
def test_an_array_is_looked_at_before_it_is_unpacked(tmp_path, monkeypatch, content, message):
    monkeypatch.chdir(tmp_path)
    with zipfile.ZipFile(tmp_path / "c.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("counts.npy", content)
    with pytest.raises(ArtifactError, match=f"c.npz: .*{message}"):
        ConfusionMatrix.load(tmp_path / "c.npz")
    assert not (tmp_path / "evil").exists()


def test_a_bomb_takes_no_memory(tmp_path, monkeypatch):
    unpacked = []
    read = zipfile.ZipExtFile.read
    monkeypatch.setattr(zipfile.ZipExtFile, "read", lambda self, n=-1: unpacked.append(out := read(self, n)) or out)
    with zipfile.ZipFile(tmp_path / "c.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("counts.npy", npy("(2, 2)", content=bytes(10**8)))
        archive.writestr("other.npy", npy("(10000, 1000)", content=bytes(8 * 10**7)))
    with pytest.raises(ArtifactError, match="takes 100,000,128 bytes"):
        read_npz(tmp_path / "c.npz", ["counts"])
    assert sum(map(len, unpacked)) < 10**6
    monkeypatch.setattr("rescale_fast.files.arrays.MOST_BYTES", 10**7)
    with pytest.raises(ArtifactError, match="its arrays would take more than"):
        read_npz(tmp_path / "c.npz", ["other"])
    assert sum(map(len, unpacked)) < 10**6


def test_the_same_name_twice_and_a_changed_byte_are_noticed(tmp_path):
    made = io.BytesIO()
    np.savez(made, data=np.zeros((2, 12), np.uint8), labels=np.array([1, 2]))
    content = bytearray(made.getvalue())
    content[content.index(b"\x93NUMPY") + 130] ^= 1
    (tmp_path / "b.npz").write_bytes(content)
    with pytest.raises(ArtifactError, match="Bad CRC-32"):
        read_batch(tmp_path / "b.npz")
    with zipfile.ZipFile(tmp_path / "b.npz", "w") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("data.npy", npy("(0,)"))
        archive.writestr("data.npy", npy("(0,)"))
    with pytest.raises(ArtifactError, match="two of its members have one name"):
        read_batch(tmp_path / "b.npz")


def test_a_byte_order_mark_changes_nothing(tmp_path):
    mark = "\ufeff"
    (tmp_path / "list.txt").write_text(mark + "ant\ncat # a comment\n")
    assert read_list(tmp_path / "list.txt", IDS).tolist() == [0, 2]
    (tmp_path / "truth.txt").write_text(mark + "1\n2\n")
    truth = read_truth(tmp_path / "truth.txt")
    assert truth.names == (("1",), ("2",))
    (tmp_path / "guesses.txt").write_text(mark + "1\n2\n")
    assert read_guesses(tmp_path / "guesses.txt", truth).num_unknown == 0
    (tmp_path / "val_images.csv").write_text(mark + "label,class_id,path\n1,ant,a.jpg\n")
    assert read_truth(tmp_path / "val_images.csv").paths == ("a.jpg",)
    text = ClassSubset.load(_subset(tmp_path)).class_ids
    (tmp_path / "class_subset.json").write_text(mark + (tmp_path / "class_subset.json").read_text())
    assert ClassSubset.load(tmp_path / "class_subset.json").class_ids == text == ("ant", "cat")


def _subset(folder, **changes):
    rows = [{"label": 0, "id": "ant", "name": "ant"}, {"label": 2, "id": "cat", "name": "cat"}]
    value = {"schema": "class_subset/1", "method": "mine", "num_classes": 3, "classes": rows, "facts": {}}
    value |= {"made_from": {}, "config": {}} | changes
    (folder / "class_subset.json").write_text(json.dumps(value))
    return folder / "class_subset.json"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"classes": [{"label": 0, "id": "a"}]}, r"it lacks the field 'classes\[0\].name'"),
        ({"classes": [{"label": "0", "id": "a", "name": "a"}]}, r"classes\[0\].label is '0', expected a whole"),
        ({"classes": [{"label": 3, "id": "a", "name": "a"}]}, "not increasing, or not below 3"),
        ({"classes": [{"label": 0, "id": "a\nb", "name": "a"}]}, r"classes\[0\] is 'a\\nb', expected an id without"),
        ({"classes": 7}, "classes is 7, expected a list"),
        ({"classes": []}, "there are none"),
        ({"num_classes": True}, "num_classes is True, expected a whole number"),
        ({"num_classes": 10**30}, "num_classes is 1000"),
        ({"method": ["a"]}, "method is a list of 1, expected text"),
        ({"facts": {"value": 3}}, "it lacks the field 'facts.value_of_a_random_choice'"),
        ({"made_from": {"confusion": 7}}, "made_from.confusion is 7, expected text"),
        ({"config": None}, "config is None, expected an object"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_json_is_named(tmp_path, changes, message):
    with pytest.raises(ArtifactError, match=f"class_subset.json: .*{message}.*Give the file that was meant"):
        ClassSubset.load(_subset(tmp_path, **changes))


def test_a_class_whose_id_has_the_sign_of_a_comment_can_be_listed(tmp_path):
    (tmp_path / "list.txt").write_text("c#\nant # small\n")
    assert read_list(tmp_path / "list.txt", ("ant", "c", "c#")).tolist() == [0, 2]
    (tmp_path / "list.txt").write_bytes(b"ant\xff\n")
    with pytest.raises(SettingError, match="cannot be read as text"):
        read_list(tmp_path / "list.txt", IDS)


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """val/<class> with two images each of three classes, as PATHS says."""
    rng, root = np.random.default_rng(5), tmp_path_factory.mktemp("photos") / "pets"
    for path in PATHS:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(encoded(photo(rng, 32, 24)))
    return root


def test_a_run_gives_files_of_others_the_class_ids_of_its_data_set(photos, tmp_path, capsys):
    assert open_folder(photos).class_ids == IDS
    pq.write_table(table(), tmp_path / "own.parquet")
    np.save(tmp_path / "c.npy", np.array(CONFUSED))
    (tmp_path / "c.csv").write_text(spread(CONFUSED))
    arguments = ["--dataset", "folder", "--root", str(photos), "--k", "2"]
    for option, name in (("--predictions", "own.parquet"), ("--confusion", "c.npy"), ("--confusion", "c.csv")):
        out = tmp_path / name.replace(".", "-")
        assert main(["run", *arguments, option, str(tmp_path / name), "--out", str(out)]) == 0, capsys.readouterr().err
        made = ConfusionMatrix.load(out / "confusion.npz")
        assert (made.counts.tolist(), made.class_ids) == (CONFUSED, IDS)
        assert (out / "class_subset.txt").read_text() == "ant\ncat\n"
        for command in ("confuse", "select") if option == "--predictions" else ("select",):
            again = [option, str(tmp_path / name)] if command == "confuse" or option == "--confusion" else []
            assert main([command, *again, *(["--k", "2"] if command == "select" else []), "--out", str(out)]) == 0
    out = tmp_path / "alone"
    assert main(["select", "--confusion", str(tmp_path / "c.csv"), "--k", "2", "--out", str(out)]) == 0
    assert (out / "class_subset.txt").read_text() == "0\n2\n"
    capsys.readouterr()
    np.save(tmp_path / "four.npy", np.eye(4, dtype=int))
    code = main(["run", *arguments, "--confusion", str(tmp_path / "four.npy"), "--out", str(tmp_path / "four")])
    assert code == 1 and "counts are of 4 classes, and the data set has 3" in capsys.readouterr().err
