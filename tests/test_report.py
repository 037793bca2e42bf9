"""The report as a page: what it says, by hand-computed cases; what it does, in a real browser where there is one."""

import html
import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rescale_fast.artifact import Origin
from rescale_fast.class_subset.choose import choose_classes
from rescale_fast.class_subset.settings import SelectSettings
from rescale_fast.class_subset.types import ClassSubset
from rescale_fast.confusion import ConfusionMatrix
from rescale_fast.datasets.types import Dataset, ImageList
from rescale_fast.report.certificate import certificate_chart
from rescale_fast.report.chart import Series, line_chart
from rescale_fast.report.class_table import Seen, class_rows
from rescale_fast.report.gallery import most_confused_pairs
from rescale_fast.report.heat_map import MOST_CELLS, heat_map
from rescale_fast.report.page import ReportInputs, write_report
from rescale_fast.run.commands import main
from rescale_fast.train.types import TrainRun

NOWHERE = Origin({}, {})
HOSTILE = "</script><script>document.title='owned'</script>"
NAMES = ("ape", "bee", HOSTILE, "dog", "eel")
COUNTS = np.array([[6, 1, 0, 3, 0], [0, 9, 0, 0, 1], [0, 0, 10, 0, 0], [4, 0, 0, 5, 1], [0, 0, 2, 0, 8]])


def confusion_of(counts, names=None):
    ids = tuple(f"n{i:04d}" for i in range(len(counts)))
    return ConfusionMatrix(NOWHERE, counts.astype(np.int64), counts.astype(float), ids, names or ids)


def all_classes(confusion):
    k = confusion.num_classes
    return ClassSubset(NOWHERE, "list", k, tuple(range(k)), confusion.class_ids, confusion.class_names, {})


def inputs_of(confusion, classes, dataset=None, runs=(), root=Path("/gone")):
    return ReportInputs(
        name="zoo & co",
        root=root,
        dataset=dataset,
        confusion=confusion,
        classes=classes,
        grouping=None,
        betons={},
        predictions=None,
        runs=runs,
        timings={},
        settings={"note": HOSTILE},
        resolution=None,
        quality=None,
        provenance={"Commands": {"select": f"rescale-fast select {HOSTILE}"}},
    )


def test_a_matrix_made_elsewhere_has_a_report_without_a_data_set(tmp_path, capsys):
    matrix, out = tmp_path / "theirs.csv", tmp_path / "chosen"
    matrix.write_text("class,a,b,c\na,3,1,0\nb,2,2,1\nc,0,0,5\n")
    assert main(["select", "--confusion", str(matrix), "--k", "2", "--out", str(out)]) == 0
    assert main(["report", "--out", str(out)]) == 0
    said = capsys.readouterr().out
    assert "chosen: 3 classes" in said and "without some images: this folder belongs to no data set." in said
    assert "None" not in said + (out / "report.html").read_text(encoding="utf-8").partition("<script")[0]


def test_classes_that_are_confused_lie_side_by_side_and_no_count_is_lost():
    made = heat_map(confusion_of(COUNTS, NAMES), all_classes(confusion_of(COUNTS, NAMES)))
    order = [NAMES.index(name) for name in made["names"]]
    assert abs(order.index(0) - order.index(3)) == 1  # ape and dog, confused most
    assert abs(order.index(2) - order.index(4)) == 1
    cells = np.array(made["cells"]).reshape(-1, 3)
    expected = {(a, b): COUNTS[a, b] for a, b in zip(*np.nonzero(COUNTS), strict=True) if a != b}
    assert {(order[a], order[b]): count for a, b, count in cells.tolist()} == expected
    assert (made["largest"], made["left_out"]) == (0.4, 0)


def test_a_full_matrix_of_1000_classes_keeps_its_greatest_cells_and_a_small_page(rng, tmp_path):
    counts = rng.integers(1, 1000, (1000, 1000))
    confusion = confusion_of(counts)
    made = heat_map(confusion, all_classes(confusion))
    assert (len(made["cells"]) // 3, made["left_out"]) == (MOST_CELLS, 999_000 - MOST_CELLS)
    np.fill_diagonal(counts, 0)
    assert min(made["cells"][2::3]) == np.sort(counts.ravel())[-MOST_CELLS]
    write_report(inputs_of(confusion, all_classes(confusion)), tmp_path / "r.html")
    assert (tmp_path / "r.html").stat().st_size < 2e6


def test_the_table_of_classes_by_hand():
    confusion = confusion_of(COUNTS, NAMES)
    chosen = ClassSubset(NOWHERE, "list", 5, (0, 1, 3), ("n0000", "n0001", "n0003"), ("ape", "bee", "dog"), {})
    rows = class_rows(chosen, None, confusion)
    assert [row.seen for row in rows] == [
        Seen(10, 0.6, 4, "dog", 3),
        Seen(10, 0.9, 0, "", 0),
        Seen(10, 0.5, 4, "ape", 4),
    ]
    assert [row.came_from for row in rows] == ["0", "1", "3"]
    assert [row.seen for row in class_rows(chosen, None, None)] == [None] * 3


def test_the_most_confused_pairs_are_those_of_a_plain_loop(rng):
    confusion = confusion_of(rng.integers(0, 4, (17, 17)))
    classes = [16, 3, 7, 2, 11, 5]
    pairs = [(int(confusion.counts[a, b] + confusion.counts[b, a]), a, b) for a in classes for b in classes if a < b]
    expected = sorted((pair for pair in pairs if pair[0]), key=lambda pair: (-pair[0], pair[1], pair[2]))[:12]
    found = most_confused_pairs(confusion, classes)
    assert [(one.a_called_b + one.b_called_a, one.a, one.b) for one in found] == expected


def test_the_certificate_shows_the_choice_below_the_bound_and_is_left_out_where_it_is_not_kept(rng):
    confusion = confusion_of(rng.poisson(0.7, (30, 30)) + 9 * np.eye(30, dtype=int))
    facts = choose_classes(confusion, SelectSettings(k=6), NOWHERE).facts
    lines = {line.name.split(",")[0].split(":")[0]: line for line in certificate_chart(facts, 6).lines}
    (choice,) = lines["this choice"].points
    at_k = [point for point in lines["upper bound"].points if point.x == choice.x]
    assert choice.y >= at_k[0].y  # y falls as values rise
    assert all(a.y <= b.y for a, b in zip(lines["upper bound"].points, lines["greedy"].points, strict=True))
    assert certificate_chart({name: facts[name] for name in facts if name != "over_k"}, 6) is None
    assert certificate_chart({}, 6) is None


@pytest.mark.parametrize(
    "points",
    [[(1, 0.0)], [(1, 1e-7), (2, 3e-7)], [(1, 5e8), (90, 1e9)], [(3, 7), (3, 7)], [(1, 2.0), (2, float("nan"))]],
)
def test_every_point_of_a_chart_lies_within_its_axes(points):
    made = line_chart("t", "x", "y", [Series("s", points, 0)])
    for point in made.lines[0].points:
        assert made.left <= point.x <= made.right
        assert made.top <= point.y <= made.bottom
    assert made.y_ticks[0].at == made.bottom


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """A report with everything that can be used: images of all classes but the eels', which are gone, and two runs."""
    root, paths = tmp_path_factory.mktemp("zoo"), []
    for label in range(5):
        paths.append(f"val/{label} & <b>.png")
        (root / "val").mkdir(exist_ok=True)
        if label != 4:
            Image.new("RGB", (40, 30), (50 * label, 99, 0)).save(root / paths[-1])
    confusion = confusion_of(COUNTS, NAMES)
    images = {"val": ImageList(tuple(paths), np.arange(5))}
    dataset = Dataset("zoo & co", "folder", root, confusion.class_ids, NAMES, images)
    epochs = tuple({"epoch": i + 1, "train_loss": 2.0 - i, "val_top1": 0.3 + 0.1 * i} for i in range(2))
    runs = [TrainRun(NOWHERE, name, 1000, 5, 32, "fast", 0, None, epochs) for name in ("small", HOSTILE)]
    out = tmp_path_factory.mktemp("out") / "report.html"
    gone = write_report(inputs_of(confusion, all_classes(confusion), dataset, runs, root), out)
    assert "eel" in gone and "ape and dog" not in gone
    return out


def test_a_report_of_a_run_whose_images_are_gone_says_so_and_shows_the_rest(tmp_path, capsys):
    root, out = tmp_path / "zoo", tmp_path / "out"
    for number, name in enumerate(("ape", "bee", "cat")):
        for split in ("train", "val"):
            (root / split / name).mkdir(parents=True)
            Image.new("RGB", (40, 30), (50 * number, 99, 0)).save(root / split / name / "0.png")
    ids = ("ape", "bee", "cat")
    counts = np.array([[6, 1, 3], [0, 9, 1], [2, 0, 8]])
    ConfusionMatrix(NOWHERE, counts, counts.astype(float), ids, ids).save(tmp_path / "confusion.npz")
    begin = ["run", "--dataset", "folder", "--root", str(root), "--out", str(out), "--k", "2", "--until", "select"]
    assert main([*begin, "--confusion", str(tmp_path / "confusion.npz")]) == 0, capsys.readouterr().err
    before = (out / "report.html").read_text(encoding="utf-8")
    assert before.count('class="opens"') == 2
    assert f"rescale-fast run --dataset folder --root {root}" in html.unescape(before)
    shutil.rmtree(root)
    capsys.readouterr()
    assert main(["report", "--out", str(out)]) == 0
    assert f"the images of ape and cat are not under {root} any more" in capsys.readouterr().out
    after = (out / "report.html").read_text(encoding="utf-8")
    assert 'class="opens"' not in after and "Images are left out" in after
    assert '<canvas class="heat"' in after


class Tags(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.found = []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.found.append((tag, dict(attributes)))


def test_the_page_loads_nothing_and_says_what_each_image_is(page):
    tags = Tags(page.read_text(encoding="utf-8")).found
    for tag, attributes in tags:
        for name in ("src", "href", "srcset", "action", "poster", "data"):
            assert attributes.get(name, "data:").startswith("data:"), (tag, attributes)
        assert tag != "img" or "alt" in attributes
        assert tag != "th" or attributes.get("scope") in ("col", "row")
        assert tag != "svg" or attributes["aria-label"]
    assert len([tag for tag, _ in tags if tag == "script"]) == 2


def test_images_that_are_gone_are_named_and_the_rest_is_shown(page):
    text = html.unescape(page.read_text(encoding="utf-8"))
    assert "Images are left out: the images of" in re.sub("<[^>]*>", "", text)
    assert text.count('class="opens"') >= 4


DRIVER = Path(__file__).with_name("report_driver.js")


@pytest.fixture(scope="module")
def driven(page, tmp_path_factory):
    """What the page did on a phone's screen: the driver reaches into a frame, without the page's policy against it."""
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("no Chromium here (apt-get install chromium)")
    text = re.sub(r"<meta http-equiv=[^>]*>", "", page.read_text(encoding="utf-8"))
    folder = tmp_path_factory.mktemp("driven")
    frame = f'<iframe id="page" style="width: 390px; height: 844px; border: 0" srcdoc="{html.escape(text)}"></iframe>'
    script = f"<script>onload = () => {{{DRIVER.read_text(encoding='utf-8')}}}</script>"
    (folder / "frame.html").write_text(f'<!doctype html><meta charset="utf-8"><body>{frame}{script}', encoding="utf-8")
    options = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={folder}/profile", "--dump-dom"]
    command = [browser, *options]
    shown = subprocess.run([*command, f"file://{folder}/frame.html"], capture_output=True, text=True, timeout=120)
    return json.loads(html.unescape(re.search("ANSWERS(.*)END", shown.stdout, re.S)[1]))


def test_on_a_phone_nothing_is_cut_off_and_no_name_runs_as_a_script(driven):
    assert driven["overflow"] == 0
    assert driven["title"] == "zoo & co rescaled to 5 classes"
    assert driven["canvas"] == [True, True]


def test_arrow_keys_go_from_cell_to_cell_and_say_the_pair(driven):
    said = driven["said"]
    assert re.fullmatch(r".*: 10 images", said[0])
    pair = re.compile(r"(.*), called (.*): (\d+) of 10 images \((.*) %\)", re.S)
    for line in said[1:2]:
        true, called, count, share = pair.fullmatch(line).groups()
        expected = COUNTS[NAMES.index(true), NAMES.index(called)]
        assert (int(count), float(share)) == (expected, 10.0 * expected)
    assert re.fullmatch(r".*: 10 images", driven["tapped"], re.S)  # the last of the diagonal
    assert said[1] == said[3] == said[4]  # back again, and no further than the edge


def test_tables_sort_and_filter(driven):
    assert driven["rising"] == ["dog", "ape", "eel", "bee", HOSTILE]
    assert driven["falling"] == driven["rising"][::-1]
    assert driven["filtered"] == ["ape", "dog"]  # it is mistaken for a dog


def test_images_open_larger_with_their_path(driven):
    is_open, path, same = driven["opened"]
    assert is_open and same
    assert re.fullmatch(r"val/\d & <b>\.png", path)


def test_light_and_dark_can_be_chosen_and_both_can_be_read(driven):
    assert len(set(driven["grounds"])) == 2
    assert min(driven["contrast"]) >= 4.5  # AA
