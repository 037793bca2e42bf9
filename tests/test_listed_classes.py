"""Classes that are listed need no network: from a published list, a file or `all` straight to betons."""

import json
import re
import subprocess
import sys
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import rescale_fast as rf
from rescale_fast.artifact import Origin
from rescale_fast.beton.file import read_beton
from rescale_fast.class_subset.lists import data_set_of, find_list
from rescale_fast.class_subset.settings import SelectSettings
from rescale_fast.class_subset.types import ClassSubset
from rescale_fast.datasets.published import imagenet_classes, places365_classes
from rescale_fast.errors import SettingError
from rescale_fast.predictions.types import Predictions
from rescale_fast.run import checking, scoring, stages
from rescale_fast.run.commands import main
from tests import foreign_beton

PUBLISHED = json.loads(files("rescale_fast.class_subset").joinpath("published.json").read_text())
CLASSES = {"imagenet": tuple(imagenet_classes()), "places365": places365_classes()}
WITHOUT = """
import importlib.util, sys
HEAVY = ("torch", "torchvision", "ffcv", "nvidia", "timm")
class Absent:
    def find_spec(self, name, *_):
        if name.split(".")[0] in HEAVY:
            raise ModuleNotFoundError(name, name=name)
sys.meta_path.insert(0, Absent())
import rescale_fast.settings
rescale_fast.settings.find_spec = lambda name: None if name in HEAVY else importlib.util.find_spec(name)
from rescale_fast.run.commands import main
sys.exit(main(sys.argv[1:]))
"""


def images_of(root, class_ids, train=2, val=1):
    """Tiny images: of class i at place j, all of one colour that says both."""
    for i, class_id in enumerate(class_ids):
        for split, count in (("train", train), ("val", val)):
            (root / split / class_id).mkdir(parents=True)
            for j in range(count):
                Image.new("RGB", (8, 8), (i % 250, i // 250, 90 * j)).save(root / split / class_id / f"{j}.png")
    return root


@pytest.fixture(scope="session")
def roots(tmp_path_factory):
    """Folders in the shape of ImageNet and Places365: all their classes, two images to train and one to validate."""
    return {name: images_of(tmp_path_factory.mktemp(name), ids) for name, ids in CLASSES.items()}


@pytest.fixture
def root(tmp_path):
    """A folder of one's own: 6 classes."""
    return images_of(tmp_path / "mine", ["ant", "bee", "C#", "cow", "dog", "eel"])


def run(*words):
    return main([str(word) for word in words])


def without_torch(*words):
    """(exit code, stdout, stderr) where neither torch nor FFCV nor DALI can be imported."""
    arguments = [sys.executable, "-c", WITHOUT, *map(str, words)]
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=300)
    return done.returncode, done.stdout, done.stderr


def of_run(dataset, root, out):
    return ("run", "--dataset", dataset, "--root", root, "--out", out)


def classes_of(described_in):
    return json.loads(described_in.read_text())["classes"]


def text_of(page):
    """What a reader of the report sees."""
    text = re.sub(r"(?s)<style>.*?</style>|<[^>]*>", " ", page.read_text())
    return " ".join(text.split())


@pytest.mark.parametrize(("dataset", "name"), [("imagenet", "ReIN50"), ("places365", "RePL30")])
def test_a_published_list_becomes_betons_where_no_network_can_be_loaded(roots, tmp_path, dataset, name):
    out, wanted = tmp_path / "o", PUBLISHED[name]["classes"]
    code, shown, said = without_torch(*of_run(dataset, roots[dataset], out), "--published", name, "--until", "export")
    assert (code, f"{len(wanted)} of {len(CLASSES[dataset]):,} classes ({name})" in said) == (0, True), said
    assert "no network has looked" in shown
    assert not re.search(r"top-1 (on them )?[\d.]+ %|confused", shown)
    assert not (out / "confusion.npz").exists()
    assert not (out / "predictions").exists()
    assert (out / "class_subset.txt").read_text().split() == sorted(wanted)
    for split, count in (("train", 2), ("val", 1)):
        rows = classes_of(out / f"{split}.json")
        assert [row["id"] for row in rows] == sorted(wanted)
        assert read_beton(out / f"{split}.beton").integers("label").tolist() == sorted([*range(len(wanted))] * count)
    text = text_of(out / "report.html")
    assert f"{len(wanted)} of {len(CLASSES[dataset]):,} classes" in text
    assert PUBLISHED[name]["source"][:20] in text
    assert "No network has looked at the validation images" in text
    assert not re.search(r"top-1 of the|100\.0 %|most confused pairs", text)


def test_training_without_torch_is_refused_before_any_work(root, tmp_path):
    code, _, said = without_torch(*of_run("folder", root, tmp_path / "o"), "--classes", "all")
    assert (code, "pass --until export" in said, (tmp_path / "o").exists()) == (2, True, False)


def test_ffcv_reads_what_a_published_list_became(roots, tmp_path):
    assert (
        run(*of_run("places365", roots["places365"], tmp_path / "o"), "--published", "RePL50", "--until", "export") == 0
    )
    code = (
        "import sys, warnings; warnings.simplefilter('ignore')\n"
        "from ffcv.fields.basics import IntDecoder\n"
        "from ffcv.fields.rgb_image import CenterCropRGBImageDecoder\n"
        "from ffcv.loader import Loader, OrderOption\n"
        "pipelines = {'image': [CenterCropRGBImageDecoder((8, 8), 1)], 'label': [IntDecoder()], 'index': None}\n"
        "for images, labels in Loader(sys.argv[1], batch_size=50, num_workers=1, order=OrderOption.SEQUENTIAL,\n"
        "                             pipelines=pipelines):\n"
        "    print(labels.ravel().tolist(), [int(red) for red in images[:, 4, 4, 0]])\n"
    )
    done = subprocess.run([sys.executable, "-c", code, tmp_path / "o/val.beton"], capture_output=True, text=True)
    labels, reds = map(json.loads, done.stdout.strip().replace("] [", "]\n[").split("\n"))
    assert labels == list(range(50)), done.stderr
    expected = np.array([CLASSES["places365"].index(one) % 250 for one in PUBLISHED["RePL50"]["classes"]])
    assert np.abs(np.array(reds) - expected).max() <= 4  # of JPEG


@pytest.mark.parametrize("name", PUBLISHED)
def test_every_published_list_is_chosen_of_the_data_set_it_is_for(roots, name):
    row = PUBLISHED[name]
    dataset = rf.open_dataset(row["data_set"], roots[row["data_set"]])
    chosen = rf.choose_classes(dataset, classes=name)
    assert chosen.class_ids == tuple(sorted(row["classes"]))
    assert [dataset.class_ids[label] for label in chosen.classes] == list(chosen.class_ids)
    assert chosen.facts.keys() == {"source", "digest"}
    assert rf.choose_classes(dataset, published=name).origin.same_as(chosen.origin)


def test_all_classes_become_betons_in_the_order_of_the_data_set(root, tmp_path):
    out = tmp_path / "o"
    assert run(*of_run("folder", root, out), "--classes", "all", "--until", "export") == 0
    rows = classes_of(out / "train.json")
    assert [row["id"] for row in rows] == sorted(path.name for path in (root / "train").iterdir())
    assert read_beton(out / "train.beton").integers("label").tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5]


def test_stages_go_on_from_listed_classes(root, tmp_path, capsys):
    out = tmp_path / "o"
    (tmp_path / "list.txt").write_text("eel\nC#\n# none\nant # first\n")
    assert run(*of_run("folder", root, out), "--classes", "all", "--until", "select") == 0
    assert not (out / "image_subset.parquet").exists()
    assert run("select", "--out", out, "--classes", tmp_path / "list.txt") == 0
    assert "3 of 6 classes (list)" in capsys.readouterr().err
    for command in ("sample", "export", "report"):
        assert run(command, "--out", out) == 0
    assert "chosen: 3 classes (list)\n  C#, ant, eel\n" in capsys.readouterr().out
    assert ClassSubset.load(out / "class_subset.json").facts == {}


@pytest.fixture
def predictions(root, tmp_path):
    """Of a network that is wrong about `bee` alone, which it calls `cow`."""
    dataset = rf.open_dataset(root)
    val = dataset.splits["val"]
    bee, cow = dataset.class_ids.index("bee"), dataset.class_ids.index("cow")
    called = np.where(val.labels == bee, cow, val.labels)
    made = Predictions(
        Origin({}, {}), dataset.class_ids, dataset.class_names, np.arange(6), val.paths, val.labels,
        called[:, None], np.full((6, 1), 0.9, np.float32), np.full(6, 0.9, np.float32), (),
    )  # fmt: skip
    made.save(tmp_path / "p.parquet")
    return tmp_path / "p.parquet"


def test_what_becomes_known_later_is_shown_and_changes_nothing_that_was_made(root, predictions, tmp_path, capsys):
    out = tmp_path / "o"
    (tmp_path / "list.txt").write_text("ant\nbee\ncow\n")
    words = (*of_run("folder", root, out), "--classes", tmp_path / "list.txt", "--until", "export")
    assert run(*words) == 0
    made = {path.name: path.read_bytes() for path in out.glob("*.beton")}
    before = (out / "image_subset.parquet").stat().st_mtime_ns
    capsys.readouterr()
    assert run(*words, "--predictions", predictions) == 0
    shown, said = capsys.readouterr()
    assert (
        "chosen: 3 classes (list), 1 images confused among them (a random choice: 0.2), top-1 on them 66.7 %" in shown
    )
    assert said.count("(reused)") == 3  # the images and both betons
    assert (out / "image_subset.parquet").stat().st_mtime_ns == before
    assert run(*words) == 0  # and stays known
    assert "1 images confused among them" in capsys.readouterr().out
    assert "Who is mistaken for whom" in text_of(out / "report.html")
    assert {path.name: path.read_bytes() for path in out.glob("*.beton")} == made


def test_all_classes_can_be_scored_and_scores_stay_when_more_becomes_known(root, predictions, tmp_path, monkeypatch):
    asked = []

    def make_scores(_target, _dataset, classes, _corrections, _settings, origin, *_, **__):
        asked.append((classes.class_ids, origin))
        raise SettingError("this test trains nothing")

    monkeypatch.setattr(scoring, "make_scores", make_scores)
    words = (*of_run("folder", root, tmp_path / "o"), "--classes", "all", "--until", "select")
    for more in ((), ("--predictions", predictions)):
        assert run(*words, *more) == 0
        assert run("score", "--out", tmp_path / "o") == 2
    (first, before), (_, after) = asked
    assert first == tuple(sorted(path.name for path in (root / "train").iterdir()))
    assert before.same_as(after)


def test_predictions_in_the_run_folder_are_counted_unless_images_came_since(root, predictions, tmp_path, capsys):
    out = tmp_path / "o"
    words = (*of_run("folder", root, out), "--classes", "all", "--until", "select")
    assert run(*words) == 0
    (out / "predictions").mkdir()
    (out / "predictions" / "part-000000.parquet").write_bytes(predictions.read_bytes())
    assert run(*words) == 0
    assert "top-1 83.3 % on 6 validation images" in capsys.readouterr().out
    for new, count in (("fox", 7), ("gnu", 8)):
        images_of(root, [new])
        assert run(*words) == 0
        assert f"{count} classes, whose images no network has looked at" in capsys.readouterr().out
        assert len(ClassSubset.load(out / "class_subset.json").classes) == count


@pytest.mark.parametrize(
    ("more", "looks"),
    [
        ((), False),
        (("--network", "resnet18"), True),
        (("--images", "sensitive"), True),
        (("--label-errors", "list"), True),
    ],
)
def test_a_network_looks_only_where_something_asks_for_it(root, tmp_path, monkeypatch, more, looks):
    def look(*_):
        raise RuntimeError("a network looks")

    monkeypatch.setattr(checking, "choose_network", look)
    monkeypatch.setattr(stages, "validate", look)
    words = (*of_run("folder", root, tmp_path / "o"), "--classes", "all", *more)
    if looks:
        with pytest.raises(RuntimeError, match="a network looks"):
            run(*words)
    else:
        assert run(*words, "--until", "sample") == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--classes", "RePL30"), "is a list of places365's classes; 30 of its 30"),
        (("--classes", "ReIN5O"), "There are ReIN30, .*TinyImageNet-200; and `all`. Is ReIN50 meant"),
        (("--classes", "ImageNet-100"), "could be any of ImageNet100-CMC, ImageNet100-Kaggle"),
        (("--published", "Imagenete"), "Is Imagenette meant?"),
        (("--classes", "lists/ReIN50"), "--classes lists/ReIN50: no such file"),
        (("--classes", "ReIN50.txt"), "--classes ReIN50.txt: no such file"),
        (("--classes", "HERE"), "is no list. Pass a text"),
        (("--classes", "HERE/class_subset.json"), "is no list. Pass a text .* such as the .txt beside"),
        (("--classes", "HERE/places.txt"), "'arch' is no class of this data set .1,000 classes, such as 'n01440764'.; "
                                           "0 of the 2 classes listed are. It is a list of Places365's classes."),
        (("--classes", "HERE/typo.txt"), "1 of the 2 classes listed are. Is the list for another data set"),
        (("--published", "ReIN50", "--classes", "all"), "give one of them"),
        (("--classes", "all", "--k", "7"), "--k: would have no effect, as --classes says which"),
        (("--classes", "all", "--until", "export", "--epochs", 3), "--epochs: would have no effect, as --until"),
    ],
)  # fmt: skip
def test_lists_that_fit_nothing_are_explained(roots, tmp_path, capsys, words, message):
    (tmp_path / "places.txt").write_text("arch\nbar\n")
    (tmp_path / "class_subset.json").write_text("{}")
    (tmp_path / "typo.txt").write_text("n01440764\ntench\n")
    words = [str(word).replace("HERE", str(tmp_path)) for word in words]
    assert run(*of_run("imagenet", roots["imagenet"], tmp_path / "o"), *words) == 2
    assert re.search(message, capsys.readouterr().err)
    assert not (tmp_path / "o").exists()


def test_a_misspelt_class_is_told_what_may_be_meant(root, tmp_path, capsys):
    (tmp_path / "list.txt").write_text("ant\nbeee\n")
    assert run(*of_run("folder", root, tmp_path / "o"), "--classes", tmp_path / "list.txt") == 2
    assert "list.txt, line 2: 'beee' is no class" in (said := capsys.readouterr().err)
    assert "Is 'bee' meant?" in said


def test_a_list_for_all_of_a_data_set_says_what_a_part_of_it_lacks(tmp_path, capsys):
    root = images_of(tmp_path / "part", PUBLISHED["Imagenette"]["classes"], train=1)
    (tmp_path / "list.txt").write_text("\n".join(PUBLISHED["Imagewang"]["classes"]))
    assert run(*of_run("imagenet", root, tmp_path / "o"), "--classes", tmp_path / "list.txt") == 2
    assert "10 of the 20 classes listed are. The data set is a part of ImageNet without it." in capsys.readouterr().err


def test_a_folder_without_images_is_refused(tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    assert run(*of_run("imagenet", tmp_path / "empty", tmp_path / "o"), "--published", "ReIN50") == 1
    assert "found an empty folder" in capsys.readouterr().err


def test_a_list_in_a_folder_of_no_data_set_says_what_makes_it_one(tmp_path, capsys):
    assert run("select", "--out", tmp_path / "o", "--classes", "ReIN50") == 1
    assert "is of no data set yet. `rescale-fast run --until select`" in capsys.readouterr().err


def test_a_name_that_is_also_a_file_has_to_be_told_apart(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ReIN50").mkdir()  # a run folder, say
    assert find_list("ReIN50").method == "ReIN50"
    for name in ("rein-30", "all"):
        (tmp_path / name).write_text("a\nb\n")
        with pytest.raises(SettingError, match=f"is the name of a list, and of a file here. Pass ./{name}"):
            find_list(name)
        assert find_list(f"./{name}").labels(("a", "b", "c")).tolist() == [0, 1]
        assert SelectSettings(classes=Path(name)).listed.labels(("a", "b", "c")).tolist() == [0, 1]


@pytest.mark.parametrize("command", ["run", "select", "cut", "downsample"])
def test_help_names_the_published_lists_wherever_classes_are_listed(capsys, command):
    assert run(command, "--help-all") == 0
    of_classes = " ".join(capsys.readouterr().out.split()).partition("--classes NAME ")[2]
    assert f"one of {', '.join(PUBLISHED)}, or all" in of_classes.partition(" --")[0]


def test_classes_are_listed_from_python_as_well(root, tmp_path):
    dataset = rf.open_dataset(root)
    (tmp_path / "list.txt").write_text("eel\nbee\n")
    for classes in (["eel", "bee"], tmp_path / "list.txt", str(tmp_path / "list.txt")):
        images = rf.choose_images(dataset, classes)
        assert images.class_ids == ("bee", "eel")
        assert images.train.new_labels.tolist() == [0, 0, 1, 1]
        assert rf.choose_classes(dataset, classes=classes).method == "list"
    assert rf.choose_images(dataset, "all").class_ids == dataset.class_ids
    matrix = rf.confusion([0, 1, 1, 2], [0, 1, 2, 2], ["ant", "bee", "eel"])
    assert rf.choose_classes(matrix, classes=["bee", "eel"]).facts["value"] == 1
    info = rf.downsample(dataset, ["bee", "eel"], tmp_path / "small", side=8, forms=("npz",))
    assert info.class_ids == ("bee", "eel")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda d: rf.choose_images(d, ["ant", "bees"]), r"classes\[1\]: 'bees' is no class .* Is 'bee' meant"),
        (lambda d: rf.choose_images(d, ["ant", "ant"]), r"classes\[1\]: 'ant' is there twice"),
        (lambda d: rf.choose_images(d, ["ant"]), "classes: names 1 classes, expected at least 2"),
        (lambda d: rf.choose_images(d, [1, 2]), r"classes\[0\]: is an object of type int, expected str"),
        (lambda d: rf.choose_images(d, 3), "classes: is an object of type int, expected ClassSubset or"),
        (lambda d: rf.choose_images(d, "ReIN50"), "50 of its 50, such as 'n02089973', are not among the 6"),
        (lambda d: rf.choose_classes(d, 3), "is an object of type Dataset, expected ConfusionMatrix"),
        (lambda d: rf.choose_classes(d, 3, classes="all"), "--k: would have no effect"),
        (lambda d: rf.choose_classes(d, 3, classes=["ant", "bee"]), "--k: would have no effect"),
        (lambda d: rf.choose_classes(d, classes=["ant", "bee"], published="ReIN30"), "give one of them"),
    ],
)
def test_lists_from_python_that_fit_nothing_are_explained(root, call, message):
    with pytest.raises(SettingError, match=message):
        call(rf.open_dataset(root))


def test_cut_takes_the_name_of_a_list(roots, tmp_path, capsys):
    out = tmp_path / "o"
    assert run(*of_run("places365", roots["places365"], out), "--classes", "all", "--until", "export") == 0
    assert run("cut", out / "val.beton", "--classes", "repl30", "--target", tmp_path / "cut.beton") == 0
    rows = classes_of(tmp_path / "cut.json")
    assert [row["id"] for row in rows] == sorted(PUBLISHED["RePL30"]["classes"])
    capsys.readouterr()
    assert run("cut", out / "val.beton", "--classes", "ReIN30", "--target", tmp_path / "no.beton") == 2
    assert "0 of the 30 classes listed are. It is a list of ImageNet's classes." in capsys.readouterr().err
    assert run("cut", out / "val.beton", "--classes", "RePL31", "--target", tmp_path / "no.beton") == 2
    assert "Is RePL30 meant?" in capsys.readouterr().err


def test_a_foreign_beton_of_a_known_data_set_is_cut_by_its_ids(tmp_path, capsys):
    """A beton as FFCV's writer makes it of ImageNet: labels are places among the sorted class folders."""
    labels = list(range(1000))
    image = foreign_beton.jpeg(1)
    (tmp_path / "in.beton").write_bytes(foreign_beton.beton(1000, labels=labels, images=[image] * 1000))
    assert run("cut", tmp_path / "in.beton", "--classes", "Imagenette", "--target", tmp_path / "cut.beton") == 0
    assert "its labels are taken as ImageNet's, in the order of their ids" in capsys.readouterr().err
    rows = classes_of(tmp_path / "cut.json")
    assert [row["id"] for row in rows] == sorted(PUBLISHED["Imagenette"]["classes"])
    assert [row["original_labels"] for row in rows] == [[CLASSES["imagenet"].index(row["id"])] for row in rows]


def test_a_data_set_is_known_by_most_of_its_ids():
    assert data_set_of(CLASSES["places365"][:3]) == "Places365"
    assert data_set_of([*CLASSES["imagenet"][:3], "other", "others"]) == "ImageNet"
    assert data_set_of(["n01440764", "other"]) is None
