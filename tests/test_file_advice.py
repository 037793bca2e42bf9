"""What to do about a file that cannot be read: one that a command made can be deleted, one that was given never."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rescale_fast.run.commands import main

COUNTS = np.array([[3, 1, 0], [0, 4, 2], [1, 0, 5]])
GARBAGE = b"PK\x03\x04 nothing of the kind\xff"


@pytest.fixture
def folder(tmp_path):
    """A run folder with a matrix and a choice, without a data set; and a beton's name."""
    np.save(tmp_path / "c.npy", COUNTS)
    assert main(["select", "--confusion", str(tmp_path / "c.npy"), "--k", "2", "--out", str(tmp_path / "run")]) == 0
    return tmp_path / "run"


GIVEN = {
    "confuse --predictions own.parquet --out run": "Give a parquet file, or a folder of part-",
    "select --confusion own.npz --k 2 --out run": "Give an .npz with counts",
    "select --confusion own.npy --k 2 --out run": "Give an .npz, an .npy or a CSV",
    "group --confusion own.npz --grouping random --num-groups 2 --out run": "Give an .npz with counts",
    "compare --confusion own.npz own.txt": "Give an .npz with counts",
    "compare --confusion c.npy own.json": "Give the file that was meant; docs/formats.md",
    "compare --confusion c.npy own.txt": "Save it as UTF-8",
    "select --classes own.txt --out run": "Save it as UTF-8",
    "evaluate --truth own.parquet --guesses own.txt": "Give the file that was meant; docs/formats.md",
    "evaluate --truth own.csv --guesses own.txt": "Expected a CSV with label, class_id, path",
    "check own.beton": "copy it again",
    "cut own.beton --rows own.txt --target new.beton": "copy it again|Save it as UTF-8",
}


@pytest.mark.parametrize("command", GIVEN)
def test_nobody_is_told_to_delete_a_file_that_was_given(folder, monkeypatch, capsys, command):
    monkeypatch.chdir(folder.parent)
    names = [name for name in command.split() if name.startswith("own.")]
    for name in names:
        (folder.parent / name).write_bytes(GARBAGE)
    capsys.readouterr()
    assert main(command.split()) in (1, 2)
    said = capsys.readouterr().err
    assert "elete" not in said
    assert any(name in said for name in names)
    assert any(advice in said for advice in GIVEN[command].split("|")), said


def test_parts_of_two_runs_that_were_given_are_not_to_be_deleted(folder, capsys):
    rows = {"path": ["a"], "label": [0], "top_ids": [[0, 1]], "top_probabilities": [[0.5, 0.25]]}
    table = pa.table(rows | {"true_probability": [0.5]})
    for number in range(2):
        meta = {
            "schema": "predictions/1",
            "class_ids": ["a", "b"],
            "class_names": ["a", "b"],
            "config": {"run": number},
        }
        meta = {b"rescale_fast": json.dumps(meta | {"made_from": {}}).encode()}
        (folder.parent / "mine").mkdir(exist_ok=True)
        pq.write_table(table.replace_schema_metadata(meta), folder.parent / "mine" / f"part-{number}.parquet")
    assert main(["confuse", "--predictions", str(folder.parent / "mine"), "--out", str(folder)]) == 1
    said = capsys.readouterr().err
    assert "part-1.parquet: was made by another run than part-0.parquet. Give a parquet file" in said
    (folder.parent / "mine").rename(folder / "predictions")
    assert main(["confuse", "--out", str(folder)]) == 1
    assert f"Delete {folder}/predictions to have it made again." in capsys.readouterr().err


def test_what_a_command_made_is_told_to_be_deleted(folder, capsys):
    (folder / "confusion.npz").write_bytes(GARBAGE)
    assert main(["select", "--k", "2", "--out", str(folder)]) == 1
    said = capsys.readouterr().err
    assert f"{folder}/confusion.npz: not readable" in said
    assert said.endswith("Delete it to have it made again.\n")


@pytest.mark.parametrize("text", ["[]", '{"schema": "beton_info/9"}', '{"schema": "beton_info/2"}'])
def test_the_json_beside_a_beton_is_not_made_again_by_its_being_deleted(tmp_path, capsys, text):
    from tests import foreign_beton

    (tmp_path / "a.beton").write_bytes(foreign_beton.beton())
    (tmp_path / "a.json").write_text(text)
    assert main(["check", str(tmp_path / "a.beton")]) == 1
    said = capsys.readouterr().err
    assert "a.json" in said and "elete" not in said
