"""glyphs: letters and digits drawn as JPEG files, a data set that needs nothing downloaded.

A class is one of the 1,560 letters and numbers that all 12 styles of the DejaVu fonts inside matplotlib share; an
image is that character in a random style, size, place, rotation and ink on a light ground, with noise, as a JPEG of
random quality. Look-alikes (0 O, V v, I l, S s) confuse a network as breeds of dog do, and a person can check
the result by eye. The same seed draws the same bytes, whatever else is drawn beside an image; more classes
or more images leave the earlier ones as they were. Drawn by a process pool.
"""

import argparse
import unicodedata
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Annotated

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from rescale_fast.artifact import read_json, write_json, write_whole_folder
from rescale_fast.cache import cache_folder
from rescale_fast.datasets.layout import Split, make_dataset
from rescale_fast.datasets.listing import list_folders
from rescale_fast.datasets.types import Dataset
from rescale_fast.errors import ArtifactError, OutputError
from rescale_fast.extras import need
from rescale_fast.lock import turn
from rescale_fast.machine import MachineSettings
from rescale_fast.settings import Between, Settings
from rescale_fast.types import Track, silent
from rescale_fast.workers import check_script_is_guarded, ctrl_c_waits, start_worker, worker_context

SCHEMA = "glyphs/1"
MAX_CLASSES = 1560
MANIFEST = "glyphs.json"


@dataclass(frozen=True)
class GlyphSettings(Settings):
    """What to draw."""

    classes: Annotated[int, Between(2, MAX_CLASSES)] = 120  # by code point
    size: Annotated[int, Between(8, 4096)] = 32  # pixels a side
    train: Annotated[int, Between(0, 100_000)] = 60  # images a class
    val: Annotated[int, Between(1, 100_000)] = 40
    seed: Annotated[int, Between(0, 2**32 - 1)] = 0

    @property
    def name(self) -> str:
        seed = f"-seed{self.seed}" if self.seed else ""
        return f"glyphs-{self.classes}-{self.size}px-{self.train}+{self.val}{seed}"


def open_glyphs(settings: GlyphSettings, out: Path | None = None, *, track: Track = silent) -> Dataset:
    """List the glyphs, drawing them first unless `out` (by default a folder in the cache) holds them already.

    Raises: OutputError when `out` holds something else or cannot be
        written.
    """
    need("glyphs (their fonts)", "matplotlib")
    root = (out or cache_folder() / settings.name).resolve()
    if not _is_finished(root, settings):
        check_script_is_guarded()  # whose parent has the turn
        root.parent.mkdir(parents=True, exist_ok=True)
        with turn(root.parent):
            if not _is_finished(root, settings):  # now, by another process
                draw_glyphs(settings, root, track=track)
    name_of = {class_id(character): character for character in characters()[: settings.classes]}
    splits = {
        split: Split(list_folders(root, split, {one: one for one in name_of}), f"{split}/<class>")
        for split in ("train", "val")
        if (root / split).is_dir()
    }
    return make_dataset("glyphs", settings.name, root, splits, name_of.__getitem__)


def _is_finished(root: Path, settings: GlyphSettings) -> bool:
    if not root.exists() or (root.is_dir() and not any(root.iterdir())):
        return False
    try:
        manifest = read_json(root / MANIFEST, SCHEMA)
    except ArtifactError as error:
        raise OutputError(f"{root}: exists but holds no finished glyphs. Remove it or name another folder.") from error
    if manifest.get("settings") != asdict(settings):
        raise OutputError(f"{root}: holds glyphs of other settings ({manifest.get('settings')}). Name another folder.")
    return True


def draw_glyphs(settings: GlyphSettings, root: Path, *, track: Track = silent) -> None:
    """Draw train/<class>/*.jpg and val/<class>/*.jpg into `root`, whole or not at all."""
    splits = {"train": settings.train, "val": settings.val}
    codes = [ord(character) for character in characters()[: settings.classes]]
    with write_whole_folder(root) as folder:
        with (
            track("Drawing glyphs", total=settings.classes * sum(splits.values())) as advance,
            ProcessPoolExecutor(
                max_workers=MachineSettings().threads,
                mp_context=worker_context(),
                initializer=start_worker,
            ) as pool,
        ):
            try:
                with ctrl_c_waits():  # a pool of which not all processes have begun does not wait for them
                    jobs = [
                        pool.submit(_draw_class, folder, code, splits, settings.size, settings.seed) for code in codes
                    ]
                for job in as_completed(jobs):
                    advance(job.result())
            except BrokenProcessPool as error:
                raise OutputError(
                    f"{root}: a process that draws was killed, perhaps for want of memory. Run the same command again; "
                    'in a script of your own, call this under `if __name__ == "__main__":`.'
                ) from error
            except BaseException:
                pool.shutdown(wait=True, cancel_futures=True)
                raise
        write_json(folder / MANIFEST, {"schema": SCHEMA, "settings": asdict(settings)})


@cache
def font_files() -> tuple[Path, ...]:
    """The 12 DejaVu styles inside matplotlib (its two Display fonts hold a few glyphs only)."""
    import matplotlib

    folder = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    return tuple(sorted(path for path in folder.glob("DejaVu*.ttf") if "Display" not in path.name))


@cache
def characters() -> tuple[str, ...]:
    """The letters and numbers that all styles have, by code point."""
    from fontTools.ttLib import TTFont

    covered = []
    for path in font_files():
        with TTFont(path, lazy=True) as font:
            covered.append(set(font.getBestCmap()))
    common = sorted(set.intersection(*covered))
    return tuple(chr(code) for code in common if unicodedata.category(chr(code))[0] in "LN")


def class_id(character: str) -> str:
    """`u0041` for A: a folder name on any file system, sorted as the characters are."""
    return f"u{ord(character):04x}"


def _draw_class(folder: Path, code: int, splits: dict[str, int], size: int, seed: int) -> int:
    for number, (split, count) in enumerate(splits.items()):
        if not count:
            continue
        target = folder / split / class_id(chr(code))
        target.mkdir(parents=True)
        for i in range(count):
            rng = np.random.default_rng([seed, code, number, i])
            image, quality = draw_glyph(chr(code), size, rng)
            image.save(target / f"{i:05d}.jpg", quality=quality)
    return sum(splits.values())


def draw_glyph(character: str, size: int, rng: np.random.Generator) -> tuple[Image.Image, int]:
    """Draw one character: an RGB image of size x size, and the JPEG quality to store it with."""
    font = _font(int(rng.integers(len(font_files()))), round(size * rng.uniform(0.45, 0.85)))
    mask = Image.new("L", (size, size), 0)
    left, top, right, bottom = font.getbbox(character)
    shift_x, shift_y = rng.uniform(-0.08, 0.08, 2) * size
    place = ((size - left - right) / 2 + shift_x, (size - top - bottom) / 2 + shift_y)
    ImageDraw.Draw(mask).text(place, character, fill=255, font=font)
    mask = mask.rotate(rng.uniform(-15, 15), resample=Image.Resampling.BICUBIC)
    ink, ground = rng.uniform(0, 110, 3), rng.uniform(145, 255, 3)
    alpha = np.asarray(mask, np.float64)[:, :, None] / 255
    pixels = ground + (ink - ground) * alpha
    pixels += rng.normal(0, rng.uniform(2, 30), pixels.shape)
    return Image.fromarray(np.clip(np.rint(pixels), 0, 255).astype(np.uint8)), int(rng.integers(70, 96))


@cache
def _font(style: int, pixels: int) -> ImageFont.FreeTypeFont:
    # The basic layout engine draws the same with and without libraqm on the machine.
    return ImageFont.truetype(str(font_files()[style]), pixels, layout_engine=ImageFont.Layout.BASIC)


def main(argv: list[str] | None = None) -> int:
    """`python -m rescale_fast.datasets.glyphs --classes 1000 --out DIR`."""
    from rescale_fast.terminal import run_command, say, track

    defaults = GlyphSettings()
    parser = argparse.ArgumentParser(prog="python -m rescale_fast.datasets.glyphs", description=main.__doc__)
    parser.add_argument("--out", type=Path, help="folder to draw into (default: one in the cache)")
    for name, what in {
        "classes": "number of classes, 2 to 1,560",
        "size": "side of an image, pixels",
        "train": "training images a class",
        "val": "validation images a class",
        "seed": "the same seed draws the same bytes",
    }.items():
        default = getattr(defaults, name)
        parser.add_argument(f"--{name}", type=int, default=default, help=f"{what} (default: {default})")
    arguments = vars(parser.parse_args(argv))
    out = arguments.pop("out")

    def draw() -> None:
        dataset = open_glyphs(GlyphSettings(**arguments), out, track=track)
        counts = ", ".join(f"{len(images):,} {split}" for split, images in dataset.splits.items())
        say(f"{dataset.root}: {dataset.num_classes:,} classes, {counts} images")

    return run_command(draw, how_to_resume="Nothing was left behind; run the same command again.")


if __name__ == "__main__":
    from rescale_fast.terminal import end_process

    end_process(main())
