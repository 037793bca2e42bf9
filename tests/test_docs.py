"""README and docs say what is so: links lead somewhere, commands are understood, figures are those of saved results."""

import csv
import re
import shlex
from pathlib import Path

import pytest

import rescale_fast
from benchmarks.bench_reading import epochs_table
from rescale_fast.errors import SettingError
from rescale_fast.run import commands

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
PAGES = [README, ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


def without_code(text):
    return re.sub(r"^```.*?^```$", "", text, flags=re.DOTALL | re.MULTILINE)


def anchors(path):
    """What headings are called in links, as GitHub and mkdocs make it of them."""
    headings = re.findall(r"^#+ (.+)$", without_code(path.read_text(encoding="utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def command_lines(path):
    """Each of our command lines in the page's shell examples, without comments and with lines that go on joined."""
    for block in re.findall(r"^```bash\n(.*?)^```$", path.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE):
        for line in block.replace("\\\n", " ").splitlines():
            words = shlex.split(line.removeprefix("$ ").replace("$s", "ReIN30"), comments=True)
            if words[:3] == ["python", "-m", "rescale_fast.run"]:
                words = ["rescale-fast", "run", *words[3:]]
            elif "-m" in words[:-1] and words[words.index("-m") + 1] == "rescale_fast":  # through torchrun
                words = ["rescale-fast", *words[words.index("rescale_fast") + 1 :]]
            if words and words[0] == "rescale-fast" and not {"COMMAND", "...", "--help"} & set(words):
                ends = (place for place, word in enumerate(words) if word in ("|", ">", "&&"))
                yield words[1 : next(ends, None)]


ALL_LINES = [(path.name, words) for path in PAGES for words in command_lines(path)]


def test_readme_fits_on_a_page():
    assert len(README.read_text(encoding="utf-8").splitlines()) <= 150


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_links_lead_to_pages_and_headings_that_are_there(path):
    for link in LINK.findall(without_code(path.read_text(encoding="utf-8"))):
        if link.startswith(("https://", "http://")):
            continue
        file, _, anchor = link.partition("#")
        target = path.parent / file if file else path
        assert target.is_file(), link
        assert not anchor or anchor in anchors(target), link


def test_examples_hold_enough_command_lines():
    assert len(ALL_LINES) > 40
    assert {words[0] for _, words in ALL_LINES} >= set(commands.COMMANDS)


@pytest.mark.parametrize(("page", "words"), ALL_LINES, ids=lambda one: one if isinstance(one, str) else " ".join(one))
def test_a_command_line_that_a_page_shows_is_understood(page, words, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("rescale_fast.settings.check_inputs", lambda settings: None)  # nobody's files are here
    try:
        commands.parse_settings(words[0], words[1:])
    except SettingError as error:
        assert re.search(r"no such file|neither a file", str(error)), error


def test_the_python_page_describes_all_that_the_package_offers():
    shown = re.findall(r"^::: rescale_fast\.\S*?(\w+)$", (ROOT / "docs/python.md").read_text(), re.MULTILINE)
    assert sorted(one for one in shown if one != "errors") == rescale_fast.__all__


def test_every_page_is_in_the_menu():
    menu = (ROOT / "mkdocs.yml").read_text().partition("nav:")[2]
    assert sorted(re.findall(r"(\w+\.md)", menu)) == sorted(path.name for path in (ROOT / "docs").glob("*.md"))


def results(name):
    with (ROOT / f"benchmarks/results/{name}.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def ratio(name, what, way):
    (value,) = {row["times_peer_per_cpu_second"] for row in results(name) if (row["what"], row["way"]) == (what, way)}
    return float(value)


def test_the_ratios_of_readme_and_benchmarks_page_are_those_of_saved_results():
    stored = ratio("export", "write, full size", "passthrough")
    resized = ratio("export", "write, longer side 256", "resize, longer side 256")
    loaded = ratio("predictions", "loading", "load dali")
    text = " ".join(README.read_text().split())
    assert f"at {stored:.0f} times the images a CPU-second of FFCV's writer" in text
    assert f"resized images at {resized:.1f} times" in text
    assert f"reads images at {loaded:.2f} times torchvision's DataLoader" in text
    page = (ROOT / "docs/benchmarks.md").read_text()
    for value in (f"{stored:.0f}", f"{resized:.1f}", f"{loaded:.2f}"):
        assert f"| {value} |" in page


def test_what_pages_say_of_reading_and_of_how_to_store_for_how_many_epochs_was_measured():
    page = (ROOT / "docs/export.md").read_text()
    stored = results("reading_store")
    assert "\n".join(epochs_table(stored)) in page, "print benchmarks.bench_reading.epochs_table of the results there"
    by_way = {
        row["stored"]: float(row["write_cpu_seconds_per_1000"]) + 16 * float(row["read_cpu_seconds_per_1000"])
        for row in stored
        if (row["images"], row["train_size"]) == ("500 x 375", "224")
    }
    names = ("passthrough", "resize, shorter side 256", "raw, shorter side 256")
    whole, resized, raw = (f"{by_way[way]:.0f}" for way in names)
    text = " ".join(page.split())
    assert f"{whole} CPU-seconds per 1,000 images from passthrough, {resized} resized to 256, {raw} raw of 256" in text
    read = {(row["images"], row["way"]): float(row["cpu_seconds_per_1000"]) for row in results("reading_overhead")}
    small, large = ((read[one, "ours, reuse_buffers"], read[one, "ffcv.Loader"]) for one in ("32 x 32", "500 x 375"))
    train = " ".join((ROOT / "docs/train.md").read_text().split())
    assert f"{small[0]:.3f} CPU-seconds beside {small[1]:.3f} at 32 px, {large[0]:.2f} beside {large[1]:.2f}" in train
    for one in ("32 x 32", "500 x 375"):
        ratio_to_ffcvs = read[one, "ffcv.Loader"] / read[one, "ours"]
        assert f"| {ratio_to_ffcvs:.2f} | `bench_reading` |" in (ROOT / "docs/benchmarks.md").read_text()
        assert ratio_to_ffcvs > 0.98


def test_the_epochs_from_which_a_way_pays_are_where_both_cost_the_same():
    row = {"images": "500 x 375", "write_cpu_seconds_per_1000": 1.0, "read_cpu_seconds_per_1000": 3.0}
    other = row | {"write_cpu_seconds_per_1000": 6.0, "read_cpu_seconds_per_1000": 1.0}  # 1 + 2.5 * 3 = 6 + 2.5 * 1
    dear = row | {"read_cpu_seconds_per_1000": 3.5}
    ways = [f"passthrough{part}" for part in ("", ", 4/8", ", 2/8")]
    rows = [row | {"stored": way, "train_size": size} for size in (32, 64, 128, 224) for way in ways]
    for size in (32, 64, 128, 224):
        names = ["resize, shorter side 256", "raw, shorter side 256", f"resize, shorter side {size}"]
        rows += [other | {"stored": way, "train_size": size} for way in names]
        rows.append(dear | {"stored": "raw", "train_size": size})
    assert epochs_table(rows)[3] == "| 224 px | passthrough | 3.00 | 3.00 | 2.5 | 2.5 | never | 2.5 |"


def test_what_the_training_page_says_of_pixels_is_what_was_measured():
    page = (ROOT / "docs/train.md").read_text()
    pairs = [("torchvision", "ffcv"), ("torchvision", "dali"), ("ffcv", "dali"), ("torchvision", "ffcv, INTER_AREA")]
    apart = {}
    for row in results("loader_pixels"):
        cells = apart.setdefault((row["stored"], row["size_px"]), {})
        cells[row["one"], row["other"]] = f"{row['mean_levels']} / {row['max_levels']}"
    for (stored, size), cells in apart.items():
        assert f"| {stored}, {size} px | {' | '.join(cells[pair] for pair in pairs)} |" in page
    spent = {(row["by"], row["size_px"]): f"{float(row['cpu_ms']):.2f}" for row in results("loader_resizing")}
    ours, area, pil = ((spent[by, "32"], spent[by, "224"]) for by in ("ours", "INTER_AREA", "PIL"))
    said = f"32 px and {ours[1]} to 224 px, INTER_AREA {area[0]} and {area[1]}, PIL {pil[0]} and {pil[1]}"
    assert f"Ours takes {ours[0]} CPU-milliseconds for a crop to {said}" in " ".join(page.split())


def test_what_readme_says_of_the_search_is_what_was_measured():
    rows = [row for row in results("class_subset") if row["k"].isdigit()]
    bounds = {row["k"]: float(row["bound"]) for row in rows if row["way"].startswith("prove")}
    fast = {row["k"]: float(row["worst"]) for row in rows if row["way"] == "fast"}
    assert len(fast) == 5
    assert all(fast[k] > 0.98 * bounds[k] for k in fast)  # "within 2 %"
    assert max(float(row["cpu_seconds"]) for row in rows if row["way"] == "fast") < 2.5  # "in two seconds"


def test_the_figure_is_drawn_from_the_saved_results(tmp_path):
    from scripts.figures import TARGET, draw

    draw(tmp_path / "figure.svg")
    assert (tmp_path / "figure.svg").read_bytes() == TARGET.read_bytes(), "run `python -m scripts.figures`"
