"""How a command ends: exit codes, and one message instead of a traceback."""

import contextlib
import ctypes
import errno
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
        print(f"{child or 'ready'}\\n", end="", flush=True)  # at once: two processes write
        time.sleep(60)

end_process(run_command(work, how_to_resume="What is finished is kept."))
"""


@pytest.mark.parametrize(
    ("number", "code", "words"),
    [
        (signal.SIGTERM, 143, "Terminated (SIGTERM). What is finished is kept."),
        (signal.SIGHUP, 129, "The terminal has gone (SIGHUP). What is finished is kept."),
        (signal.SIGUSR1, 138, "Asked to end (SIGUSR1). What is finished is kept."),
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


@pytest.fixture(scope="module")
def shell(command, tmp_path_factory):
    """Runs a line of bash in which $RF is the command line; gives (exit code, stdout, stderr)."""
    folder = tmp_path_factory.mktemp("shell")

    def run(line, **variables):
        environment = command.environment | {"RF": f"{sys.executable} -m rescale_fast"} | variables
        done = subprocess.run(
            ["bash", "-c", line], cwd=folder, env=environment, capture_output=True, text=True, timeout=120
        )
        return done.returncode, done.stdout, done.stderr

    return run


NOISY = """
import sys
from rescale_fast.__main__ import console
from rescale_fast.run import help_page
from rescale_fast.terminal import say, show
def work():
    say("working")
    say("still working")
    show("the result")
    say("done")
help_page.overview = lambda: work() or "the usage"
console()
"""


def noisy(line):
    return line.replace("RF", f'{sys.executable} -c "$PROGRAM"')


@pytest.mark.parametrize("line", ["--version >/dev/full", "--help >&-", "check --help >/dev/full"])
def test_a_result_that_cannot_be_written_is_one_message_and_no_success(shell, line):
    code, _, stderr = shell(f"$RF {line}")
    assert code == 1
    assert stderr.startswith("error: stdout: cannot write the result there: ")
    assert stderr.count("\n") == 1


@pytest.mark.parametrize("where", ["2>/dev/full", "2>&-", "2> >(head -c 1 >/dev/null)"])
def test_status_lines_that_cannot_be_written_are_dropped(shell, where):
    code, stdout, _ = shell(noisy(f"RF {where}"), PROGRAM=NOISY)
    assert (code, stdout) == (0, "the result\nthe usage\n")


def test_a_reader_that_has_gone_does_not_end_the_work_before_its_result(shell, tmp_path):
    program = NOISY.replace('say("done")', f"open({str(tmp_path / 'reached')!r}, 'w')").replace(
        'show("the result")', "import time; time.sleep(0.5); say('on')"
    )
    code, stdout, stderr = shell(f"{noisy('RF')} 2>&1 | head -n 1; exit ${{PIPESTATUS[0]}}", PROGRAM=program)
    assert (code, stdout, stderr) == (1, "working\n", "")
    assert (tmp_path / "reached").exists()


@pytest.mark.parametrize("where", ["2>/dev/full", "2>&-"])
def test_an_error_goes_to_the_stream_that_works(shell, where):
    code, stdout, _ = shell(f"$RF check nothing.beton {where}")
    assert code != 0
    assert stdout.startswith("error: ")
    assert "nothing.beton" in stdout


def test_a_closed_stream_leaves_its_number_to_no_file(shell):
    program = NOISY.replace("def work():", "def work():\n    print(open('/dev/zero').fileno() > 2, flush=True)")
    assert shell(noisy("RF 2>&- <&-"), PROGRAM=program)[1].startswith("True\n")


def test_progress_on_a_terminal_that_goes_ends_no_work():
    ours, theirs = os.openpty()
    with os.fdopen(theirs, "w", encoding="utf-8") as terminal, pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stderr", terminal)
        with track("Reading", total=100) as advance:
            os.close(ours)
            time.sleep(0.3)  # by when the bar has been drawn again
            for _ in range(100):
                advance(1)
        patch.undo()
        with contextlib.suppress(OSError):
            terminal.close()


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable"), "could not start threads. Lower --num-th"),
        (RuntimeError("can't start new thread"), "could not start threads. Lower --num-threads"),
        (MemoryError(), "there is not enough memory. Lower --num-threads"),
    ],
)
def test_what_the_machine_does_not_allow_is_said(capsys, error, message):
    assert end_with(error) == 1
    assert capsys.readouterr().err.startswith(f"error: {message}")


@pytest.mark.parametrize("kernel", ["check", "search"])
def test_a_limit_on_threads_is_one_message(shell, tmp_path, kernel):
    """RLIMIT_AS below what is mapped already, so that no thread gets a stack."""
    work = {
        "check": "_core.digest_file(fd=file.fileno(), size=1 << 22, num_threads=2, advance=lambda count: None)",
        "search": "_core.peel_class_subset(graph, 2)",
    }[kernel]
    (tmp_path / "file").write_bytes(bytes(1 << 22))
    program = f"""
import resource
import numpy as np
from rescale_fast import _core
from rescale_fast.terminal import end_process, run_command
graph = _core.WeightGraph.from_dense(np.ones((5, 5)) - np.eye(5))
file = open({str(tmp_path / "file")!r}, "rb")
def work():
    used = int(open("/proc/self/statm").read().split()[0]) * 4096
    resource.setrlimit(resource.RLIMIT_AS, (used + (1 << 20), -1))
    {work}
end_process(run_command(work, how_to_resume=""))
"""
    code, _, stderr = shell(noisy("RF"), PROGRAM=program)
    assert (code, stderr.count("\n")) == (1, 1), stderr
    assert stderr.startswith("error: could not start threads. Lower --num-threads")


def test_an_interrupt_that_came_while_a_class_was_made_is_one_all_the_same(capsys):
    """Python 3.11 raises a RuntimeError then, as for one that falls into `import torch`."""

    class Named:
        def __set_name__(self, owner, name):
            raise KeyboardInterrupt

    def work():
        type("Made", (), {"named": Named()})

    assert run_command(work, how_to_resume="Go on.") == 130
    assert "Interrupted. Go on." in capsys.readouterr().err
