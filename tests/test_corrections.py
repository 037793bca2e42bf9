"""Corrections by hand: what they change, and which are refused."""

import pytest

from rescale_fast.class_subset.types import ClassGrouping, ClassSubset
from rescale_fast.errors import SettingError
from rescale_fast.image_subset.corrections import read_corrections
from rescale_fast.image_subset.sample import Evidence, sample_images
from rescale_fast.image_subset.settings import SampleSettings
from tests.test_image_choice import NOWHERE, all_of, made_up


def take(classes, corrections):
    return sample_images(made_up(), classes, NOWHERE, SampleSettings(), Evidence(corrections=corrections))


def test_images_move_leave_and_enter():
    chosen = ClassSubset(NOWHERE, "list", 5, (1, 3), ("bee", "dog"), ("bee", "dog"), {})
    before = take(chosen, {})
    after = take(
        chosen,
        {
            "train/bee/train0.jpg": "dog",  # moves
            "train/bee/train1.jpg": None,  # leaves
            "train/bee/train2.jpg": "cat",  # leaves: cats were not chosen
            "train/elk/train5.jpg": "bee",  # enters
            "train/dog/train0.jpg": "dog",  # is what it was
            "val/dog/val1.jpg": "bee",
        },
    )
    new = dict(zip(after.train.paths, after.train.new_labels.tolist(), strict=True))
    old = dict(zip(before.train.paths, before.train.new_labels.tolist(), strict=True))
    assert {path: label for path, label in new.items() if old.get(path) != label} == {
        "train/bee/train0.jpg": 1,
        "train/elk/train5.jpg": 0,
    }
    assert old.keys() - new.keys() == {"train/bee/train1.jpg", "train/bee/train2.jpg"}
    entered = after.train.paths.index("train/elk/train5.jpg")
    assert (after.train.labels[entered], after.train.indices[entered]) == (4, 20 + 31 + 17 + 23 + 5)
    assert after.val.new_labels.tolist() == [0] * 6 + [1] * 4


def test_in_groups_a_correction_may_name_the_group_or_a_class_of_it():
    grouping = ClassGrouping(
        NOWHERE, "table", 5, ("small", "dog"), ("small", "dog"), ((0, 1), (3, 4)), (("ape", "bee"), ("dog", "elk")), {}
    )
    made = take(
        grouping, {"train/ape/train0.jpg": "elk", "train/elk/train0.jpg": "small", "train/cat/train0.jpg": "dog"}
    )
    new = dict(zip(made.train.paths, made.train.new_labels.tolist(), strict=True))
    assert [new[f"train/{k}/train0.jpg"] for k in ("ape", "elk", "cat", "bee")] == [1, 0, 1, 0]


def test_a_table_is_read_whatever_else_is_in_it(tmp_path):
    (tmp_path / "c.csv").write_text('note,class,path\r\n"a, b",dog,x/1.jpg\r\n,,x/2.jpg\r\n\r\n', encoding="utf-8-sig")
    assert read_corrections(tmp_path / "c.csv") == {"x/1.jpg": "dog", "x/2.jpg": None}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected the columns path and class"),
        ("path,label\nx,y\n", "its first line is 'path,label'"),
        ("path,class\nx,y,z\n", "row 2: has 3 cells, the first line 2"),
        ("path,class\nx,y\nx,z\n", "row 3: 'x' is there twice"),
        (b"\xff\xfe\x00", "cannot be read as a CSV"),
    ],
)
def test_a_table_that_is_none_is_refused(tmp_path, text, message):
    (tmp_path / "c.csv").write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(SettingError, match=message):
        read_corrections(tmp_path / "c.csv")


def test_images_and_classes_that_do_not_exist_are_refused():
    with pytest.raises(SettingError, match=r"1 of 2 images are not in the data set, 'train/ape/no.jpg' first"):
        take(all_of(made_up()), {"train/ape/no.jpg": "bee", "train/ape/train0.jpg": "bee"})
    with pytest.raises(SettingError, match="'train/ape/train0.jpg' is to be of class 'yak', which does not exist"):
        take(all_of(made_up()), {"train/ape/train0.jpg": "yak"})
