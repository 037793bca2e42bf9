"""The command line itself: what is typed is understood or refused in one line, and pages of help are fit to be read."""

import itertools
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal, get_origin

import pytest

from rescale_fast import __version__
from rescale_fast.errors import SettingError
from rescale_fast.run.commands import COMMANDS, SECTIONS, main
from rescale_fast.run.completion import SHELLS
from rescale_fast.run.help_page import usual_options
from rescale_fast.run.options import options_of
from rescale_fast.run.parsing import parse
from rescale_fast.settings import Between, Exists, OneOf, Positional, Settings, hints_of, notes_of

OPTIONS = [(name, one) for name, command in COMMANDS.items() for one in options_of(command.settings)]


@dataclass(frozen=True)
class Inner(Settings):
    """What is inside.

    And more of it.
    """

    side: Annotated[int, Between(1, 64)] = 8
    """Side of it."""
    how: Literal["fast", "well"] = "fast"


@dataclass(frozen=True)
class Some(Settings):
    """Settings of each kind."""

    file: Annotated[Path, Positional()]
    others: Annotated[tuple[Path, ...], Positional()] = ()
    share: float = 0.5
    names: tuple[str, ...] = ()
    train_compile: bool = False
    is_kept: bool = True
    most: int | None = None
    """At
    most."""
    inner: Inner = field(default_factory=Inner)


@pytest.mark.parametrize(
    ("line", "made"),
    [
        ("f", {}),
        ("f --share 2", {"share": 2.0}),
        ("--share=-1e-3 f", {"share": -0.001}),
        ("f --share -1", {"share": -1.0}),
        ("f --side 64 --how well", {"inner": Inner(64, "well")}),
        ("f --names a b=c -d --most 3", {"names": ("a", "b=c", "-d"), "most": 3}),
        ("f --names=--a=b", {"names": ("--a=b",)}),
        ("--train-compile -- f", {"train_compile": True}),
        ("--train_compile -- f", {"train_compile": True}),
        ("--train-compile f", {"train_compile": True}),
        ("--train-compile True --is-kept False f", {"train_compile": True, "is_kept": False}),
        ("--train-compile=True f", {"train_compile": True}),
        ("f --train-compile --no-train-compile --no-is-kept", {"is_kept": False}),
        ("f --most 1 --most 2", {"most": 2}),
        ("f g --share 1 h", {"others": (Path("g"), Path("h")), "share": 1.0}),
        ("f -- --share", {"others": (Path("--share"),)}),
    ],
)
def test_words_become_settings(line, made):
    assert parse(Some, line.split(), "some") == Some(Path("f"), **made)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("", r"some: needs FILE\. `rescale-fast some --help`"),
        ("f --share", "--share: expected a number after it"),
        ("f --names --most 3", "--names: expected text after it"),
        ("f --share x", "--share 'x': expected a number"),
        ("f --most 1.5", "--most '1.5': expected a whole number"),
        ("f --side 65", r"--side 65: expected a whole number, 1 to 64\."),
        ("f --how ill", "--how ill: expected one of fast, well"),
        ("f --train-compile=maybe", "--train-compile 'maybe': expected True or False"),
        ("f --no-train-compile=True", "--no-train-compile: takes no value"),
        ("f --shore 1", r"some: unknown option --shore\. Did you mean --share or"),
        ("f --no-is-kep", "Did you mean --no-is-kept"),
        ("f --xyz", r"unknown option --xyz\. `rescale-fast some --help-all` lists all"),
    ],
)
def test_words_that_cannot_be_read_are_told_in_one_line(line, message):
    with pytest.raises(SettingError, match=message) as refused:
        parse(Some, line.split(), "some")
    assert "\n" not in str(refused.value)


def test_a_word_too_many_is_told():
    for word, message in (
        ("x", "report: 'x' belongs to no option"),
        ("-ou", "unknown option -ou. Did you mean --out?"),
    ):
        with pytest.raises(SettingError, match=re.escape(message)):
            parse(COMMANDS["report"].settings, ["--out", "o", word], "report")


def wrong_values(option):
    """Values that the option's type does not allow, and none at all."""
    if not option.is_positional and not option.is_switch:
        yield []
    hint = hints_of(option.of)[option.path[-1]]
    if any(isinstance(note, Exists) for note in notes_of(hint)):
        yield ["not/there"]
    for kind, limits in option.kinds:
        if kind is Path:
            yield [""]
        if kind in (int, float):
            yield from (["x"], ["nan"], [""])
            if isinstance(limits, Between):
                yield [str(kind(limits.low) - 1)]
        elif get_origin(kind) is Literal or isinstance(limits, OneOf):
            yield from (["nonsense"], [""])


def wrong_lines():
    for name, option in OPTIONS:
        yield from ((name, option, [option.name, *words]) for words in wrong_values(option) if not option.is_positional)
        yield from ((name, option, words) for words in wrong_values(option) if option.is_positional)
        if option.is_switch:
            yield from ((name, option, [f"{one}=x"]) for one in (option.name, option.opposite))


WAYS = {  # of what a command needs one
    "cut": ("--classes", "--rows", "--drop"),
    "relabel": ("--groups", "--labels"),
    "evaluate": ("--guesses", "--predictions"),
    "group": ("--grouping",),
}


def filled(name, wrong, file):
    """What else the command needs."""
    needed = [one for one in options_of(COMMANDS[name].settings) if one.is_required and one.path != wrong.path]
    words = [word for one in needed for word in ((file,) if one.is_positional else (one.name, file))]
    ways = WAYS.get(name, ())
    return words if not ways or wrong.name in ways else [*words, ways[0], file]


def test_wrong_values_of_all_options_of_all_commands_end_with_2_and_one_line(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("")
    answers = []
    for name, option, words in wrong_lines():
        code = main([name, *filled(name, option, "file"), *words])
        out, said = capsys.readouterr()
        names_it = words[0].partition("=")[0] in said or (words[-1] or "''") in said
        is_right = code == 2 and out == "" and names_it and re.fullmatch(r"error: .+\n", said)
        answers.append(None if is_right else (name, words, code, out, said))
    assert len(answers) > 500
    assert not [one for one in answers if one]
    assert list(tmp_path.iterdir()) == [tmp_path / "file"], "nothing was begun"


@pytest.mark.parametrize("word", ["--help", "-h", "help", "--help-all"])
def test_help_is_asked_for_in_any_usual_way(capsys, word):
    assert main([word]) == main([]) == 0
    first, second = capsys.readouterr().out.split("usage: ")[1:]
    assert first == second
    assert all(f"\n  {name} " in first for name in COMMANDS)
    for line in ([word, "select"], ["select", "--out", "x", "-h" if word == "help" else word]):
        assert main(line) == 0
        assert capsys.readouterr().out.startswith("usage: rescale-fast select --out PATH [OPTIONS]\n")


@pytest.mark.parametrize("word", ["--version", "-V"])
def test_the_version(capsys, word):
    assert main([word]) == 0
    assert capsys.readouterr().out == f"{__version__}\n"


@pytest.mark.parametrize(("wrong", "meant"), [("runn", "run"), ("exprot", "export"), ("validte", "validate")])
def test_a_misspelt_command_names_the_nearest(capsys, wrong, meant):
    for line in ([wrong], ["help", wrong]):
        assert main(line) == 2
        assert capsys.readouterr().err.startswith(f"error: unknown command '{wrong}'. Did you mean {meant}")
    assert main(["zzz"]) == 2
    assert "mean" not in capsys.readouterr().err


def pages(capsys):
    for name in COMMANDS:
        for way in ("--help", "--help-all"):
            assert main([name, way]) == 0
            yield name, way, capsys.readouterr().out
    assert main(["--help"]) == 0
    yield "", "--help", capsys.readouterr().out


@pytest.mark.parametrize("columns", [80, 120])
def test_pages_of_help_fit_their_terminal_as_plain_text(capsys, monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("FORCE_COLOR", "1")
    for name, way, text in pages(capsys):
        lines = text.splitlines()
        assert text.isascii(), name
        assert all(line.isprintable() for line in lines), name
        assert max(map(len, lines)) < columns, (name, way)
        assert not any(line != line.rstrip() for line in lines), name
        assert "\n\n\n" not in text, name
        assert "example:\n  rescale-fast " in text, name


def test_a_page_opens_with_an_example_and_the_main_options_and_another_shows_all(capsys):
    for name, way, text in pages(capsys):
        if not name:
            continue
        every = options_of(COMMANDS[name].settings)
        shown = every if way == "--help-all" else usual_options(COMMANDS[name], every)
        entries = re.findall(r"^  (--[\w-]+|[A-Z]+)(?=[ ,]|$)", text.partition("options:\n")[2], re.MULTILINE)
        assert sorted(entries) == sorted(one.name for one in shown), name
        assert len(shown) <= 11 or way == "--help-all", name
        assert {one.name for one in every if one.is_required} <= {one.name for one in shown}, name
        rest = len(every) - len(shown)
        assert (f"{rest} more options: rescale-fast {name} --help-all" in text) == (rest > 0), name


def test_every_option_has_one_name_a_text_and_values_and_default_that_are_right():
    for name, own in itertools.groupby(OPTIONS, key=lambda one: one[0]):
        names = [one.name for _, one in own]
        assert len(set(names)) == len(names), name
    for name, one in OPTIONS:
        assert one.help.endswith((".", ")")), (name, one.name)
        assert one.help[0].isupper() or one.help.startswith(("`", "glyphs:")), (name, one.name)
        assert one.metavar in (
            "",
            "N",
            "NUMBER",
            "PATH",
            "TEXT",
            "CHOICE",
            "NAME",
            "NUMBER ...",
            "PATH ...",
            "TEXT ...",
            "CHOICE ...",
        )


def test_what_a_page_says_of_an_option_is_what_its_field_says(capsys):
    side, most = (next(one for one in options_of(Some) if one.path[-1] == name) for name in ("side", "most"))
    assert (side.help, side.values, side.shown_default) == ("Side of it.", "1 to 64", "8")
    assert (most.help, most.values, most.shown_default) == ("At most.", "", "")
    off, on = (one for one in options_of(Some) if one.is_switch)
    assert (off.usage, off.shown_default) == ("--train-compile, --no-train-compile", "off")
    assert (on.usage, on.shown_default) == ("--is-kept, --no-is-kept", "on")


def test_examples_are_short_enough_to_be_copied():
    for name, command in COMMANDS.items():
        assert command.example.startswith(f"rescale-fast {name}")
        assert len(command.example) < 78, name
        assert len(command.summary) < 80, name


def test_the_page_of_the_command_line_is_that_of_the_parser():
    from scripts.cli_page import PAGE, page

    assert PAGE.read_text(encoding="utf-8") == page(), "run `python -m scripts.cli_page`"


def test_help_loads_no_stage_and_no_numpy():
    code = (
        "import sys; from rescale_fast.run.commands import main; main(['--help']); print(*sys.modules, file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stderr.split())
    assert {"rescale_fast.run.help_page", "rescale_fast.terminal"} <= loaded
    assert not loaded & {"numpy", "pyarrow", "rich", "rescale_fast.settings", "rescale_fast.run.settings"}


def completed(script, *words):
    line = f'source {script}; COMP_WORDS=("$@"); COMP_CWORD=$(($#-1)); _rescale_fast; echo "${{COMPREPLY[@]}}"'
    done = subprocess.run(
        ["bash", "-c", line, "bash", "rescale-fast", *words], capture_output=True, text=True, check=True
    )
    assert done.stderr == ""
    return done.stdout.split()


def test_bash_completes_commands_options_and_choices(capsys, tmp_path):
    script = tmp_path / "completion"
    assert main(["completion", "bash"]) == 0
    script.write_text(capsys.readouterr().out)
    assert set(completed(script, "")) == {*COMMANDS, "help", "--help", "--version"}
    assert completed(script, "re") == ["report", "resolution", "relabel"]
    assert completed(script, "help", "sc") == ["score"]
    assert completed(script, "check", "--") == [
        *("--decode", "--list", "--num-threads", "--no-decode", "--help", "--help-all")
    ]
    assert completed(script, "select", "--effort", "") == ["greedy", "fast", "thorough", "prove"]
    assert completed(script, "export", "--out", "x", "--store", "r") == ["resize", "raw"]
    assert completed(script, "completion", "") == list(SHELLS)
    assert completed(script, "run", "--out", "") == [], "bash completes files by itself"


@pytest.mark.parametrize("shell", [*SHELLS])
def test_a_shell_reads_its_script(capsys, tmp_path, shell):
    assert main(["completion", shell]) == 0
    script = capsys.readouterr().out
    assert all(re.search(rf"\b{name}\b", script) for name in COMMANDS)
    assert all(option.name.removeprefix("--") in script for _, option in OPTIONS if not option.is_positional)
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    (tmp_path / "script").write_text(script)
    subprocess.run(
        [shell, "-n", tmp_path / "script"], check=True, env={"HOME": str(tmp_path), "PATH": os.environ["PATH"]}
    )


def test_sections_hold_each_command_once():
    names = [name for section in SECTIONS.values() for name in section]
    assert len(names) == len(set(names)) == len(COMMANDS)
