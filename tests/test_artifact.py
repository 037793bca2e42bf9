"""Files appear whole or not at all, and say who made them."""

import errno
import os
import subprocess
import sys

import pytest

from rescale_fast.artifact import Origin, json_sha256, read_json, to_json, write_json, write_whole
from rescale_fast.errors import ArtifactError, OutputError
from tests.conftest import ROOT


def test_a_file_appears_whole(tmp_path):
    with write_whole(tmp_path / "new" / "a.txt") as temporary:
        temporary.write_text("content")
        assert not (tmp_path / "new" / "a.txt").exists()
    assert (tmp_path / "new" / "a.txt").read_text() == "content"
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["a.txt"]


@pytest.mark.parametrize("error", [ValueError("no"), KeyboardInterrupt()])
def test_a_failure_keeps_the_old_file_and_leaves_nothing(tmp_path, error):
    (tmp_path / "a.txt").write_text("old")
    with pytest.raises(type(error)), write_whole(tmp_path / "a.txt") as temporary:
        temporary.write_text("half")
        raise error
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]
    assert (tmp_path / "a.txt").read_text() == "old"


def test_what_a_killed_writer_left_goes_with_the_next_and_what_another_writes_stays(tmp_path):
    code = "import os; from pathlib import Path; from rescale_fast.artifact import write_whole\n"
    code += "with write_whole(Path('a.txt')) as temporary: os.kill(os.getpid(), 9)"
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)}, check=False)
    assert len(list(tmp_path.glob(".a.txt.*.tmp"))) == 1
    with write_whole(tmp_path / "a.txt") as first, write_whole(tmp_path / "a.txt") as second:
        assert sorted(tmp_path.glob(".*.tmp")) == sorted([first, second])
        first.write_text("first")
        second.write_text("second")
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]
    assert (tmp_path / "a.txt").read_text() == "first"  # the last to finish


def test_a_full_disk_is_a_clear_error(tmp_path):
    with pytest.raises(OutputError, match=r"a\.txt: cannot write it: No space left"), write_whole(tmp_path / "a.txt"):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert not list(tmp_path.iterdir())


def test_json_takes_plain_values_only_and_digests_ignore_order(tmp_path):
    assert json_sha256({"a": 1, "b": (2, tmp_path)}) == json_sha256({"b": [2, str(tmp_path)], "a": 1})
    with pytest.raises(TypeError, match="cannot store a set"):
        to_json({"a": {1}})


@pytest.mark.parametrize("text", ["", "{", '{"schema": "other/1"}', "[1]"])
def test_a_damaged_or_foreign_json_is_refused(tmp_path, text):
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(ArtifactError, match="Give the file that was meant"):
        read_json(tmp_path / "a.json", "ours/1")


def test_equal_origins_survive_the_file(tmp_path):
    origin = Origin({"x": "1"}, {"sizes": (1, 2), "path": tmp_path})
    write_json(tmp_path / "a.json", {"schema": "ours/1", **origin.to_dict()})
    assert Origin.from_dict(read_json(tmp_path / "a.json", "ours/1")).same_as(origin)
    assert not origin.same_as(Origin({"x": "1"}, {"sizes": (1, 3), "path": tmp_path}))
