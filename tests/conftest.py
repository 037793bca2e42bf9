import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from rescale_fast.artifact import Origin
from rescale_fast.datasets.glyphs import GlyphSettings, open_glyphs
from rescale_fast.predictions.types import Predictions

ROOT = Path(__file__).resolve().parent.parent


def _hear_signals():
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


@contextlib.contextmanager
def interruptible(*arguments, **options):
    """Start a program that hears Ctrl-C and the terminal's end even where the tests do not: in the background, under
    nohup.
    """
    with subprocess.Popen(
        [sys.executable, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=_hear_signals,
        **options,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.fixture
def one_thread():
    """On tiny images torch is quickest with one thread, most of all on a busy machine."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def rng():
    return np.random.default_rng(20240701)


@pytest.fixture(scope="session")
def small_glyphs(tmp_path_factory):
    """12 classes (digits, A, B), 24 px, 10 train and 12 val images a class."""
    return open_glyphs(GlyphSettings(classes=12, size=24, train=10, val=12), tmp_path_factory.mktemp("glyphs") / "g")


def mistaken_predictions(dataset, every):
    """Of a network that calls each of 12 classes the next, once in `every` validation images."""
    val = dataset.splits["val"]
    top = np.where(np.arange(len(val)) % every == 0, (val.labels + 1) % 12, val.labels)
    return Predictions(
        origin=Origin({}, {}),
        class_ids=dataset.class_ids,
        class_names=dataset.class_names,
        indices=np.arange(len(val)),
        paths=val.paths,
        labels=val.labels,
        top_ids=top[:, None],
        top_probabilities=np.full((len(val), 1), 0.9, np.float32),
        true_probability=np.where(top == val.labels, 0.9, 0.05).astype(np.float32),
        skipped=(),
    )


@pytest.fixture(scope="session")
def command(tmp_path_factory):
    """Runs a command line as a user would; gives (exit code, stdout, stderr). The cache is this test run's own."""
    environment = dict(os.environ, XDG_CACHE_HOME=str(tmp_path_factory.mktemp("cache")), COLUMNS="200")

    def run(*arguments, module="rescale_fast", cwd=None, timeout=300):
        done = subprocess.run(
            [sys.executable, "-m", module, *map(str, arguments)],
            cwd=cwd,
            env=environment,
            capture_output=True,
            text=True,
            timeout=timeout,
        )
        return done.returncode, done.stdout, done.stderr

    run.environment = environment
    return run
