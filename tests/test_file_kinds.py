"""What is no file where a file should be: pipes are not waited for, folders are called by their name."""

import os
import signal

import pytest

from rescale_fast.artifact import file_sha256, read_json, write_json, write_whole
from rescale_fast.confusion import ConfusionMatrix
from rescale_fast.errors import ArtifactError, OutputError
from rescale_fast.files.reading import read_lines
from rescale_fast.predictions.types import Predictions
from rescale_fast.run.folder import digest

READERS = {
    "JSON": lambda path: read_json(path, "run/1"),
    "text": read_lines,
    "parquet": Predictions.load,
    "npz": ConfusionMatrix.load,
    "npy": lambda path: ConfusionMatrix.load(path.rename(path.with_suffix(".npy"))),
    "CSV": lambda path: ConfusionMatrix.load(path.rename(path.with_suffix(".csv"))),
    "SHA-256": file_sha256,
    "digest": digest,
}


@pytest.fixture
def impatient():
    """Interrupts what waits for a pipe."""

    def end(number, frame):
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, end)
    signal.alarm(20)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("reader", READERS)
def test_a_pipe_in_place_of_a_file_is_refused_and_not_waited_for(tmp_path, reader):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ArtifactError, match=r"/pipe[.a-z]*: is not a regular file\. "):
        READERS[reader](tmp_path / "pipe")


@pytest.mark.parametrize("name", ["run.json", "class_subset.json"])
def test_a_command_does_not_wait_for_a_pipe_in_its_folder(command, tmp_path, name):
    write_json(tmp_path / "confusion.npz", {})
    os.mkfifo(tmp_path / name)
    code, _, stderr = command("report" if name == "run.json" else "score", "--out", tmp_path, timeout=60)
    assert code == 1
    assert stderr.startswith(f"error: {tmp_path}/")
    assert "Traceback" not in stderr


@pytest.mark.parametrize("reader", READERS)
def test_a_folder_in_place_of_a_file_is_called_a_folder(tmp_path, reader):
    (tmp_path / "x").mkdir()
    with pytest.raises(ArtifactError, match=r"is a folder, expected a file|holds no part-"):
        if reader == "digest":
            (tmp_path / "x" / "part-000000.parquet").mkdir()
        READERS[reader](tmp_path / "x")


def test_what_is_in_the_way_of_a_file_is_named_with_what_to_do(tmp_path):
    (tmp_path / "val.json").mkdir()
    with pytest.raises(OutputError, match=r"/val\.json: is a folder, where a file belongs\. Move or delete it"):
        write_json(tmp_path / "val.json", {})
    with (
        pytest.raises(OutputError, match=r"/val\.json: is a folder, where a file belongs\. Move or delete it"),
        write_whole(tmp_path / "val.beton"),
    ):
        (tmp_path / "val.json").unlink()  # as an export does
    (tmp_path / "file").touch()
    for name in ("file/x", "file/x/y"):
        with pytest.raises(OutputError, match=r"/x.*: cannot write it: .*/file.* is no folder\. Move that"):
            write_json(tmp_path / name, {})


def test_a_link_to_nothing_in_place_of_run_json_is_named(command, tmp_path):
    (tmp_path / "run.json").symlink_to("nothing")
    small = ("--glyph-classes", 4, "--glyph-size", 24, "--glyph-train", 1, "--glyph-val", 1)
    code, _, stderr = command("validate", "--dataset", "glyphs", *small, "--out", tmp_path)
    assert code == 1
    assert stderr.splitlines()[-1] == (
        f"error: {tmp_path}/run.json: is a link to nothing. Delete it, or pass another --out."
    )  # behind the progress of drawing, where nobody has drawn them yet
