"""A training that is killed, or asked to end, goes on from its checkpoint as if it had never stopped."""

import contextlib
import errno
import itertools
import json
import os
import signal
import threading
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from rescale_fast.artifact import Origin
from rescale_fast.errors import OutputError
from rescale_fast.machine import MachineSettings
from rescale_fast.run.commands import main
from rescale_fast.run.folder import RunFolder
from rescale_fast.train import engine, keeper, loop, signals
from rescale_fast.train.group import Group
from rescale_fast.train.keeper import Keeper
from rescale_fast.train.loop import CHECKPOINT, LOG, WEIGHTS, train_network
from rescale_fast.train.plan import plan_training
from rescale_fast.train.settings import TrainSettings
from tests.colours import WithDropout, write_colours
from tests.conftest import interruptible

pytestmark = pytest.mark.usefixtures("one_thread")
QUICK = TrainSettings(epochs=3, train_batch_size=8)
STEPS = 5  # an epoch: 40 images
CALLS = STEPS + 1 + 2  # of `advance`: steps, what is left out, batches of the 11 images of val


class Killed(BaseException):
    """So that nobody catches it, as nobody catches SIGKILL."""


@pytest.fixture(scope="module")
def colours(tmp_path_factory):
    return write_colours(tmp_path_factory.mktemp("colours"))


@pytest.fixture(autouse=True)
def small_network(monkeypatch):
    monkeypatch.setattr(engine, "build_for_training", lambda name, classes, size, **_: WithDropout(classes))


@pytest.fixture
def run_folder(colours, tmp_path):
    """With the betons."""
    folder = RunFolder(tmp_path / "run")
    folder.path.mkdir()
    for split, path in colours[0].items():
        for one in (path, path.with_suffix(".json")):
            (folder.path / one.name).symlink_to(one)
        assert folder.beton(split).exists()
    return folder.path


def command_line(run_folder, epochs):
    options = {"--out": run_folder, "--train-network": "small", "--loader": "dali", "--num-threads": 1}
    options |= {"--epochs": epochs, "--train-batch-size": 8}
    return ["train", *(str(word) for option in options.items() for word in option)]


@pytest.fixture
def saves_each_step(monkeypatch):
    monkeypatch.setattr(keeper, "SHARE_OF_SAVING", 1e9)


class StopError(Exception):
    """Raised by `hearing` on a signal."""


@pytest.fixture
def hearing():
    """Signals are heard, even where the tests run in the background, and handlers are put back."""

    def stop(number, frame):
        raise StopError

    handlers = {signal.SIGINT: signal.default_int_handler, **dict.fromkeys(signals.ENDINGS, stop)}
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


class Watched:
    """A Track that calls `at` after each `advance`, with their number; and what it was told."""

    def __init__(self, at=lambda call: None):
        self.at, self.calls, self.done, self.total, self.notes = at, 0, 0, None, []

    @contextlib.contextmanager
    def __call__(self, what, *, total, unit="images"):
        self.total = total

        def advance(count, note=""):
            self.calls += 1
            self.done += count
            self.notes.append(note)
            self.at(self.calls)

        yield advance


def train(colours, folder, settings=QUICK, at=lambda call: None, minutes=1e-9):
    betons, infos = colours
    watched = Watched(at)
    made = train_network(
        betons,
        infos,
        plan_training(settings, infos["train"], None, loader="dali"),
        folder,
        Origin({}, {}),
        machine=MachineSettings(device="cpu", num_threads=1),
        checkpoint_minutes=minutes,
        track=watched,
    )
    assert watched.done == watched.total, "the bar ends where it is full"
    return made, watched


def kill_at(number):
    def at(call):
        if call == number:
            raise Killed

    return at


def send_at(number, sent):
    def at(call):
        if call == number:
            os.kill(os.getpid(), sent)

    return at


def facts(made):
    """What an epoch is about, but its times."""
    return [{key: epoch[key] for key in epoch.keys() - {"seconds", "images_per_second"}} for epoch in made.epochs]


@pytest.mark.parametrize(("recipe", "steps"), [("fast", STEPS), ("chrabaszcz", 2 * STEPS)])
def test_killed_after_any_step_it_ends_with_the_weights_of_one_that_was_not(
    colours, tmp_path, monkeypatch, saves_each_step, recipe, steps
):
    ticks = itertools.count()
    monkeypatch.setattr(loop, "time", SimpleNamespace(perf_counter=lambda: float(next(ticks))))
    settings = replace(QUICK, recipe=recipe)
    whole, watched = train(colours, tmp_path / "whole", settings)
    assert watched.calls == 3 * (CALLS - STEPS + steps)
    for kills in itertools.count():  # within epochs, at their end and in their tests
        try:
            cut, _ = train(colours, tmp_path / "cut", settings, at=kill_at((3, 4, 5)[kills % 3]))
            break
        except Killed:
            assert not (tmp_path / "cut" / WEIGHTS).exists()
            assert sorted(path.name for path in (tmp_path / "cut").iterdir()) in ([LOG], [CHECKPOINT, LOG])
    assert kills > steps
    assert facts(cut) == facts(whole)
    assert (tmp_path / "cut" / WEIGHTS).read_bytes() == (tmp_path / "whole" / WEIGHTS).read_bytes()
    log = [json.loads(line) for line in (tmp_path / "cut" / LOG).read_text().splitlines()]
    assert log == list(cut.epochs), "the log holds each epoch once"
    assert [epoch["seconds"] for epoch in whole.epochs] == [steps + 1] * 3
    assert [epoch["seconds"] for epoch in cut.epochs] == pytest.approx([steps + 1] * 3, abs=2), "of all pieces"


def test_one_that_was_killed_loses_the_minutes_since_its_checkpoint(colours, tmp_path):
    with pytest.raises(Killed):
        train(colours, tmp_path, at=kill_at(CALLS + 4), minutes=10)
    _, watched = train(colours, tmp_path, minutes=10)
    assert watched.calls == 2 * CALLS, "without a checkpoint within the epoch it begins again"


@pytest.mark.parametrize(
    ("sent", "code", "words"),
    [
        (signal.SIGTERM, 75, "Terminated (SIGTERM). The training is saved after step 3 of epoch 2. What is finished"),
        (signal.SIGUSR1, 75, "Asked to end (SIGUSR1). The training is saved after step 3 of epoch 2."),
        (signal.SIGHUP, 75, "The terminal has gone (SIGHUP). The training is saved after step 3 of epoch 2."),
        (signal.SIGINT, 130, "Interrupted. The training is saved after step 3 of epoch 2."),
    ],
)
def test_a_signal_waits_for_the_step_and_its_checkpoint(
    colours, run_folder, tmp_path, monkeypatch, capsys, hearing, sent, code, words
):
    step, steps = engine.Trainer._step, itertools.count(1)

    def interrupted_step(self, *arguments):
        if next(steps) == STEPS + 3:
            os.kill(os.getpid(), sent)
        return step(self, *arguments)

    monkeypatch.setattr(engine.Trainer, "_step", interrupted_step)
    command = command_line(run_folder, epochs=3)
    assert main(command) == code
    assert words in capsys.readouterr().err
    (made,) = (run_folder / "runs").iterdir()
    assert sorted(path.name for path in made.iterdir()) == [CHECKPOINT, LOG]
    assert main(command) == 0
    assert next(steps) == 3 * STEPS + 1, "no step was done twice"
    train(colours, tmp_path / "whole")
    assert (made / WEIGHTS).read_bytes() == (tmp_path / "whole" / WEIGHTS).read_bytes()
    assert not (made / CHECKPOINT).exists()


def test_a_real_training_ends_with_75_and_goes_on(run_folder):
    command = ["-m", "rescale_fast", *command_line(run_folder, epochs=5000)]
    places = [0]
    for sent, words in ((signal.SIGUSR1, "Asked to end (SIGUSR1)"), (signal.SIGTERM, "Terminated (SIGTERM)")):
        with interruptible(*command) as process:
            while sum(log.read_text().count("\n") for log in run_folder.glob(f"runs/*/{LOG}")) < places[-1] + 2:
                assert process.poll() is None, process.stderr.read()
                time.sleep(0.05)
            process.send_signal(sent)
            _, stderr = process.communicate(timeout=200)
        assert process.returncode == 75, stderr
        assert f"{words}. The training is saved after " in stderr
        assert "Traceback" not in stderr
        (checkpoint,) = run_folder.glob(f"runs/*/{CHECKPOINT}")
        places.append(len(json.loads(torch.load(checkpoint, weights_only=True)["records"])))
    assert places == sorted(set(places))


def test_a_signal_in_the_test_of_an_epoch_waits_for_the_batch(colours, tmp_path, hearing):
    whole, _ = train(colours, tmp_path / "whole")
    with pytest.raises(StopError):
        train(colours, tmp_path / "cut", at=send_at(CALLS - 1, signal.SIGTERM))
    cut, watched = train(colours, tmp_path / "cut")
    assert watched.calls == 2 * CALLS + 3, "the test is done again, and no step"
    assert facts(cut) == facts(whole)


def test_the_same_signal_again_ends_at_once_but_not_a_copy_of_it(colours, tmp_path, monkeypatch, hearing):
    def twice(call):
        if call == 2:
            os.kill(os.getpid(), signal.SIGTERM)
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(StopError):
        train(colours, tmp_path / "copy", at=twice)
    assert torch.load(tmp_path / "copy" / CHECKPOINT, weights_only=True)["steps_done"] == 2
    monkeypatch.setattr(signals, "SECONDS_OF_ONE", 0.0)
    with pytest.raises(StopError):
        train(colours, tmp_path / "again", at=twice, minutes=10)
    assert not (tmp_path / "again" / CHECKPOINT).exists()


def test_ones_own_handler_is_called_after_the_step_and_decides(colours, tmp_path, hearing):
    heard = []
    signal.signal(signal.SIGTERM, mine := lambda number, frame: heard.append((number, frame is not None)))
    train(colours, tmp_path, at=lambda call: send_at(2, signal.SIGTERM)(call) or (call == 2 and heard.append("step")))
    assert heard == ["step", (signal.SIGTERM, True)]
    assert signal.getsignal(signal.SIGTERM) is mine
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    train(colours, tmp_path / "ignoring", replace(QUICK, epochs=1), at=send_at(2, signal.SIGTERM))
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_IGN


def test_a_training_in_a_thread_leaves_signals_alone(colours, tmp_path, hearing):
    handlers, seen = {number: signal.getsignal(number) for number in signals.ENDINGS}, []

    def look(call):
        seen.append({number: signal.getsignal(number) for number in signals.ENDINGS} == handlers)

    thread = threading.Thread(target=train, args=(colours, tmp_path, replace(QUICK, epochs=1), look))
    thread.start()
    thread.join()
    assert all(seen)
    assert len(seen) == CALLS


def full_disk(*_):
    raise OutputError("checkpoint.pt: cannot write it") from OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_full_disk_does_not_end_a_training(colours, tmp_path, monkeypatch, saves_each_step):
    monkeypatch.setattr(keeper, "save_checkpoint", full_disk)
    made, watched = train(colours, tmp_path / "full")
    assert len(made.epochs) == 3
    assert {note for note in watched.notes if note} == {"checkpoint.pt not written: No space left on device"}


def test_what_a_full_disk_did_not_take_is_not_called_saved(run_folder, monkeypatch, capsys, hearing):
    monkeypatch.setattr(keeper, "save_checkpoint", full_disk)
    monkeypatch.setattr(engine.Trainer, "_step", lambda *_: os.kill(os.getpid(), signal.SIGTERM) or torch.ones(()))
    assert main(command_line(run_folder, epochs=3)) == 1
    assert "Terminated (SIGTERM). checkpoint.pt not written: No space left on device. What" in capsys.readouterr().err


def test_a_log_that_a_full_disk_cut_is_whole_in_the_end(colours, tmp_path, monkeypatch):
    opened, fails = Path.open, iter([False, True, False])

    def fail_once(path, mode="r", **options):
        if path.name == LOG and mode == "a" and next(fails):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return opened(path, mode, **options)

    monkeypatch.setattr(Path, "open", fail_once)
    made, _ = train(colours, tmp_path)
    monkeypatch.undo()
    assert [json.loads(line) for line in (tmp_path / LOG).read_text().splitlines()] == list(made.epochs)


def saved_at(monkeypatch, cost, minutes, ends=()):
    """Seconds at which a checkpoint is begun that takes `cost` seconds, in an hour of steps of a second each."""
    now, found = [0.0], []

    def save(*_):
        found.append(now[0])
        now[0] += cost

    monkeypatch.setattr(keeper, "time", SimpleNamespace(monotonic=lambda: now[0]))
    monkeypatch.setattr(keeper, "save_checkpoint", save)
    trainer = SimpleNamespace(group=Group(), device=None, state=dict, epoch=0, steps_done=0)
    kept = Keeper(Path(CHECKPOINT), Origin({}, {}), trainer, minutes)
    while now[0] < 3600:
        now[0] += 1
        kept.look()
        if now[0] in ends:
            kept.end_epoch({})
    return found


def test_checkpoints_come_after_minutes_and_epochs_but_take_no_more_than_a_twentieth_of_the_time(monkeypatch):
    assert saved_at(monkeypatch, cost=0, minutes=10) == [600, 1200, 1800, 2400, 3000, 3600]
    assert saved_at(monkeypatch, cost=1, minutes=10) == [600, 1201, 1802, 2403, 3004]
    assert saved_at(monkeypatch, cost=60, minutes=10) == [600, 1860, 3120], "20 minutes after one of a minute"
    assert saved_at(monkeypatch, cost=1, minutes=60, ends=[2, 10, 30, 40, 60]) == [2, 30, 60]


def test_ranks_look_about_once_a_second(monkeypatch):
    now, looks = [0.0], []

    def largest(numbers, device):
        looks.append(now[0])
        return list(numbers)

    monkeypatch.setattr(keeper, "time", SimpleNamespace(monotonic=lambda: now[0]))
    group = SimpleNamespace(is_first=True, count=2, largest=largest)
    kept = Keeper(Path(CHECKPOINT), Origin({}, {}), SimpleNamespace(group=group, device=None), 100)
    for seconds in [0.01] * 1000 + [30] * 110:
        now[0] += seconds
        kept.look()
    assert looks[:4] == pytest.approx([0.01, 0.03, 0.07, 0.15])
    quick = [b - a for a, b in itertools.pairwise(looks) if 1 < b < 10]
    assert quick
    assert max(quick) <= 1.01
    assert looks[-1] - looks[-2] == 30, "after each step, if it takes longer"
