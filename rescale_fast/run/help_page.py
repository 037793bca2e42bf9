"""Pages of help: plain text, broken into lines for the terminal that it is shown on."""

import shutil
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from rescale_fast.run.commands import COMMANDS, SECTIONS, Command

if TYPE_CHECKING:
    from rescale_fast.run.options import Option

COLUMN = 26  # where texts begin
WIDTHS = (60, 120)  # the least and the most that a page is broken for
PURPOSE = "Turn a large labelled image set into a small one that is hard in the same way."


def overview() -> str:
    """What `rescale-fast --help` prints."""
    lines = ["usage: rescale-fast COMMAND [OPTIONS]", "", *_wrapped(PURPOSE), *_example(COMMANDS["run"])]
    for title, commands in SECTIONS.items():
        lines += ["", f"{title}:"]
        for name, command in commands.items():
            lines += _entry(name, command.summary, column=14)
    lines += ["", "help:"]
    lines += _entry("COMMAND --help", "What a command does, an example, and the options that most need.")
    lines += _entry("COMMAND --help-all", "All of its options.")
    lines += _entry("-V, --version", "The version.")
    return "\n".join(lines)


def page(name: str, command: Command, *, show_all: bool) -> str:
    """What `rescale-fast COMMAND --help`, or --help-all, prints."""
    from rescale_fast.run.options import description, groups_of

    groups = groups_of(command.settings)
    options = [one for group in groups for one in group.options]
    lines = _wrapped(f"usage: {needed_by(name, options)}", hanging=14)
    for paragraph in description(command.settings):
        lines += ["", *_wrapped(paragraph)]
    lines += _example(command)
    usual = usual_options(command, options)
    if not show_all and len(usual) < len(options):
        lines += _section("main options:", usual)
        rest = len(options) - len(usual)
        return "\n".join([*lines, "", *_wrapped(f"{rest} more options: rescale-fast {name} --help-all")])
    for group in groups:
        lines += _section(f"{group.title}: {group.summary}" if group.title else "options:", group.options)
    return "\n".join(lines)


def usual_options(command: Command, options: "Sequence[Option]") -> "list[Option]":
    """Those that a command's first page shows, in the order that the command names them: all, if it names none."""
    of_name = {one.name.removeprefix("--"): one for one in options}
    return [of_name[name] for name in command.usual] if command.usual else list(options)


def needed_by(name: str, options: "Sequence[Option]") -> str:
    """A command with what it needs."""
    needed = [one.usage for one in options if one.is_required]
    others = ["[OPTIONS]"] if len(needed) < len(options) else []
    return " ".join(["rescale-fast", name, *needed, *others])


def _meaning(option: "Option") -> str:
    """What an option does, which values it may have and which it has by default."""
    default = option.shown_default
    notes = [option.values, "required" if option.is_required else f"default: {default}" if default else ""]
    said = "; ".join(note for note in notes if note)
    return f"{option.help} [{said}]" if said else option.help


def _example(command: Command) -> list[str]:
    return ["", "example:", *_wrapped(command.example, indent=2, hanging=6)]


def _section(title: str, options: "Iterable[Option]") -> Iterator[str]:
    entries = [line for one in options for line in _entry(one.usage, _meaning(one))]
    if entries:
        yield from ("", *_wrapped(title), *entries)


def _entry(name: str, text: str, *, column: int = COLUMN) -> list[str]:
    """A name, and beside it what is said of it; below, where the name is too long for that."""
    lines = textwrap.wrap(text, _width() - column, break_long_words=False, break_on_hyphens=False)
    indented = [" " * column + line for line in lines]
    if len(name) + 4 > column or not lines:
        return [f"  {name}", *indented]
    return [f"  {name:<{column - 2}}{lines[0]}", *indented[1:]]


def _wrapped(text: str, *, indent: int = 0, hanging: int = 0) -> list[str]:
    return textwrap.wrap(
        text, _width(), initial_indent=" " * indent, subsequent_indent=" " * hanging,
        break_long_words=False, break_on_hyphens=False,
    )  # fmt: skip


def _width() -> int:
    least, most = WIDTHS
    return min(max(shutil.get_terminal_size().columns - 1, least), most)
