"""Files that lie beside one another and say the same: where both are read, they are not believed when they differ."""

import numpy as np
import pytest

from rescale_fast.artifact import Origin
from rescale_fast.class_subset.types import ClassSubset
from rescale_fast.confusion import ConfusionMatrix
from rescale_fast.errors import ArtifactError
from rescale_fast.run.commands import main
from rescale_fast.run.folder import RunFolder
from rescale_fast.run.sampling import load_chosen
from rescale_fast.small.cut import cut_variant, find_batches
from rescale_fast.small.write import VariantClasses

CHOSEN = ClassSubset(Origin({}, {}), "list", 3, (0, 2), ("ant", "c# d"), ("Ant", "Cat"), {})


def test_an_edited_list_of_classes_is_not_passed_over(tmp_path, capsys):
    folder = RunFolder(tmp_path)
    CHOSEN.save(folder.class_subset)
    assert load_chosen(folder, folder.class_subset) == CHOSEN
    (tmp_path / "class_subset.txt").write_bytes(b"ant\r\nc# d\r\n\r\n")  # as an editor may leave it
    assert load_chosen(folder, folder.class_subset) == CHOSEN
    (tmp_path / "class_subset.txt").write_text("ant\n")
    with pytest.raises(ArtifactError, match=r"class_subset.txt: lists other classes than class_subset.json beside it"):
        load_chosen(folder, folder.class_subset)
    (tmp_path / "class_subset.txt").unlink()
    assert load_chosen(folder, folder.class_subset) == CHOSEN, "another program need not write the list"
    capsys.readouterr()


def test_select_makes_both_again_where_they_differ(tmp_path, capsys):
    np.save(tmp_path / "c.npy", np.array([[3, 1, 0], [0, 4, 2], [1, 0, 5]]))
    command = ["select", "--confusion", str(tmp_path / "c.npy"), "--k", "2", "--out", str(tmp_path / "run")]
    assert main(command) == 0
    listed = (tmp_path / "run" / "class_subset.txt").read_text()
    assert listed.split() == list(ClassSubset.load(tmp_path / "run" / "class_subset.json").class_ids)
    (tmp_path / "run" / "class_subset.txt").write_text("0\n")
    assert main(command) == 0
    assert (tmp_path / "run" / "class_subset.txt").read_text() == listed
    capsys.readouterr()


def test_arrays_under_two_names_are_one_or_refused(tmp_path):
    counts, ids = np.eye(2, dtype=int), np.array(["a", "b"])
    np.savez(tmp_path / "same.npz", counts=counts, arr_0=counts, class_ids=ids, wnids=ids)
    assert ConfusionMatrix.load(tmp_path / "same.npz").class_ids == ("a", "b")
    for other in ({"wnids": ids[::-1]}, {"arr_0": counts + 1}):
        np.savez(tmp_path / "two.npz", **{"counts": counts, "class_ids": ids} | other)
        with pytest.raises(ArtifactError, match=f"holds both .* and {next(iter(other))}, which are not the same"):
            ConfusionMatrix.load(tmp_path / "two.npz")


@pytest.mark.parametrize(("listed", "message"), [(2, "holds more images than"), (4, "lists 4 images, and there are 3")])
def test_a_listing_of_more_or_fewer_images_than_its_batches_is_refused(tmp_path, listed, message):
    source = tmp_path / "set"
    source.mkdir()
    np.savez(source / "val_data.npz", data=np.zeros((3, 12), np.uint8), labels=np.array([1, 2, 1]))
    rows = "".join(f"1,a,val/{i}.jpg\n" for i in range(listed))
    (source / "val_images.csv").write_text("label,class_id,path\n" + rows)
    classes = VariantClasses(("a", "b"), ("a", "b"), (1, 2), ((0,), (1,)))
    with pytest.raises(ArtifactError, match=message):
        cut_variant(find_batches(source, classes), ["a"], tmp_path / "new")
