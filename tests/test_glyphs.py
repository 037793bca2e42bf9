"""The built-in data set: the same bytes every time, whole or absent."""

import hashlib
import signal
import time

import pytest
from PIL import Image

from rescale_fast.datasets.glyphs import GlyphSettings, characters, font_files, open_glyphs
from rescale_fast.errors import OutputError, SettingError
from tests.conftest import interruptible


def contents(root):
    return {str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest() for path in root.rglob("*.jpg")}


def test_there_are_1560_characters_in_12_styles():
    assert len(characters()) == 1560
    assert len(font_files()) == 12
    assert "".join(characters()[:12]) == "0123456789AB"


def test_the_same_seed_draws_the_same_bytes_and_another_seed_others(tmp_path):
    settings = GlyphSettings(classes=3, size=16, train=2, val=2)
    first = contents(open_glyphs(settings, tmp_path / "a").root)
    assert first == contents(open_glyphs(settings, tmp_path / "b").root)
    assert len(first) == 12 == len(set(first.values()))
    other = contents(open_glyphs(GlyphSettings(3, 16, 2, 2, seed=1), tmp_path / "c").root)
    assert not set(first.values()) & set(other.values())


def test_more_classes_and_images_leave_the_earlier_ones_as_they_were(tmp_path):
    few = contents(open_glyphs(GlyphSettings(2, 16, 2, 1), tmp_path / "few").root)
    many = contents(open_glyphs(GlyphSettings(4, 16, 3, 2), tmp_path / "many").root)
    assert few.items() <= many.items()


def test_images_are_rgb_jpegs_of_the_size_asked_for(small_glyphs):
    assert small_glyphs.num_classes == 12
    assert len(small_glyphs.splits["train"]) == 120
    with Image.open(small_glyphs.root / small_glyphs.splits["val"].paths[-1]) as image:
        assert (image.format, image.mode, image.size) == ("JPEG", "RGB", (24, 24))


def test_a_finished_folder_is_reused_and_a_foreign_one_refused(tmp_path):
    settings = GlyphSettings(2, 16, 1, 1)
    root = open_glyphs(settings, tmp_path / "g").root
    before = (root / "glyphs.json").stat().st_mtime_ns
    assert open_glyphs(settings, tmp_path / "g").digest
    assert (root / "glyphs.json").stat().st_mtime_ns == before
    with pytest.raises(OutputError, match="other settings"):
        open_glyphs(GlyphSettings(3, 16, 1, 1), tmp_path / "g")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").touch()
    with pytest.raises(OutputError, match="no finished glyphs"):
        open_glyphs(settings, tmp_path / "mine")
    assert (tmp_path / "mine" / "letter.txt").exists()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"classes": 1561}, "--classes 1561: expected a whole number, 2 to 1,560"),
        ({"classes": 1}, "--classes 1:"),
        ({"size": 4}, "--size 4: expected a whole number, 8"),
        ({"val": 0}, "--val 0: expected a whole number, 1"),
    ],
)
def test_impossible_settings_are_refused(settings, message):
    with pytest.raises(SettingError, match=message):
        GlyphSettings(**settings)


def test_ctrl_c_leaves_nothing_behind(tmp_path):
    arguments = ["--classes", "1000", "--train", "200", "--size", "64", "--out", tmp_path / "g"]
    with interruptible("-m", "rescale_fast.datasets.glyphs", *arguments) as process:
        while not any(tmp_path.rglob("*.jpg")):
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "Interrupted" in errors
    assert "Traceback" not in errors
    assert list(tmp_path.iterdir()) == []
