"""How a command ends: exit codes, and one message instead of a traceback."""

import ctypes
import os
import signal
import subprocess
import sys
import time

import pytest

from rescale_fast.errors import DatasetError, SettingError
from rescale_fast.terminal import run_command, track
from tests.conftest import interruptible


def end_with(error):
    def work():
        raise error

    return run_command(work, how_to_resume="Run it again.")


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (DatasetError("no images"), 1, "error: no images"),
        (SettingError("k is 1"), 2, "error: k is 1"),
        (KeyboardInterrupt(), 130, "Interrupted. Run it again."),
        (PermissionError(13, "Permission denied", "/secret"), 1, "error: /secret: Permission denied"),
    ],
)
def test_errors_for_people_become_one_message(capsys, error, code, message):
    assert end_with(error) == code
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("error", [KeyError("defect"), OSError("no file is to blame")])
def test_a_defect_keeps_its_traceback(error):
    with pytest.raises(type(error)):
        end_with(error)


def test_success_is_zero():
    assert run_command(lambda: None, how_to_resume="") == 0


def test_progress_off_a_terminal_is_plain_lines(capsys, monkeypatch):
    clock = iter([0.0, 1.0, 12.0])
    monkeypatch.setattr("rescale_fast.terminal.time.monotonic", lambda: next(clock))
    with track("Reading", total=100) as advance:
        advance(10)
        advance(20)
    assert capsys.readouterr().err == "  Reading: 30/100 images, 2 images/s, 28 s left\n"


def test_an_interrupt_that_a_callback_swallows_is_heard_all_the_same(capsys):
    def interrupted() -> None:
        raise KeyboardInterrupt

    def work() -> None:
        ctypes.CFUNCTYPE(None)(interrupted)()  # as in a compiler that calls back
        time.sleep(20)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # tests in the background ignore it
    start = time.monotonic()
    try:
        assert run_command(work, how_to_resume="Go on.") == 130
    finally:
        signal.signal(signal.SIGINT, before)
    assert time.monotonic() - start < 10
    captured = capsys.readouterr().err
    assert "Interrupted. Go on." in captured
    assert "Traceback" not in captured


def test_a_late_interrupt_does_not_spoil_the_exit_code():
    program = """
import atexit, os, signal
from rescale_fast.terminal import end_process
signal.signal(signal.SIGINT, signal.default_int_handler)
atexit.register(os.kill, os.getpid(), signal.SIGINT)
end_process(0)
"""
    assert subprocess.run([sys.executable, "-c", program], capture_output=True).returncode == 0


def test_the_end_flushes_what_was_printed_and_runs_what_was_registered(tmp_path):
    program = f"""
import atexit, sys
from pathlib import Path
from rescale_fast.terminal import end_process
atexit.register(Path({str(tmp_path / "done")!r}).touch)
print("the last words")
print("and these", file=sys.stderr)
end_process(7)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (7, "the last words\n", "and these\n")
    assert (tmp_path / "done").exists()
    closed = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {sys.executable} -m rescale_fast --help | true"],
        capture_output=True,
        text=True,
    )
    assert "Traceback" not in closed.stderr


SLEEPS = """
import os, sys, time
from rescale_fast.artifact import write_whole
from rescale_fast.terminal import end_process, run_command
from pathlib import Path

def work():
    with write_whole(Path(sys.argv[1]) / "half.txt") as temporary:
        child = os.fork() if "fork" in sys.argv else None
        print(child or "ready", flush=True)
        time.sleep(60)

end_process(run_command(work, how_to_resume="What is finished is kept."))
"""


@pytest.mark.parametrize(
    ("number", "code", "words"),
    [
        (signal.SIGTERM, 143, "Terminated (SIGTERM). What is finished is kept."),
        (signal.SIGHUP, 129, "The terminal has gone (SIGHUP). What is finished is kept."),
        (signal.SIGINT, 130, "Interrupted. What is finished is kept."),
    ],
)
def test_every_request_to_end_tidies_up_and_has_an_exit_code_of_its_own(tmp_path, number, code, words):
    with interruptible("-c", SLEEPS, tmp_path) as process:
        assert process.stdout.readline() == "ready\n"
        process.send_signal(number)
        _, stderr = process.communicate(timeout=20)
    assert process.returncode == code
    assert words in stderr
    assert "Traceback" not in stderr
    assert not list(tmp_path.iterdir())


def test_a_command_under_nohup_does_not_hear_the_terminal_go(tmp_path):
    with interruptible(
        "-c", f"import signal; signal.signal(signal.SIGHUP, signal.SIG_IGN)\n{SLEEPS}", tmp_path
    ) as process:
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGHUP)
        time.sleep(0.5)
        assert process.poll() is None
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 143


def test_a_fork_that_is_terminated_ends_without_a_word_and_tidies_up_nothing_of_its_parent(tmp_path):
    with interruptible("-c", SLEEPS, tmp_path, "fork") as process:
        child = max(int(line) for line in (process.stdout.readline(), process.stdout.readline()) if line != "ready\n")
        os.kill(child, signal.SIGTERM)
        time.sleep(0.5)
        assert process.poll() is None
        assert len(list(tmp_path.iterdir())) == 1
        process.send_signal(signal.SIGTERM)
        _, stderr = process.communicate(timeout=20)
    assert stderr.count("Terminated") == 1
