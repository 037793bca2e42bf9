"""Writes docs/cli.md: every command with all its options, from what the parser and pages of help are made of.

    python -m scripts.cli_page

It stands outside the package: nobody needs it at run time.
"""

import re
from collections.abc import Iterable
from pathlib import Path

from rescale_fast.run.commands import SECTIONS, Command
from rescale_fast.run.help_page import needed_by
from rescale_fast.run.options import Group, Option, description, groups_of, options_of

PAGE = Path(__file__).parents[1] / "docs" / "cli.md"
TEMPLATE = Path(__file__).with_suffix(".md")


def page() -> str:
    """The whole page, from its template."""
    return TEMPLATE.read_text(encoding="utf-8").replace("{commands}\n", "\n".join(_sections()))


def _sections() -> Iterable[str]:
    for title, commands in SECTIONS.items():
        yield f"## {title[0].upper()}{title[1:]}\n"
        for name, command in commands.items():
            yield from _command(name, command)


def _command(name: str, command: Command) -> Iterable[str]:
    kind = command.settings
    yield f"### {name}\n"
    for paragraph in description(kind):
        yield f"{_escaped(paragraph)}\n"
    yield f"    usage: {needed_by(name, options_of(kind))}\n"
    yield f"```bash\n{command.example}\n```\n"
    for group in groups_of(kind):
        yield from _table(group)


def _table(group: Group) -> Iterable[str]:
    if group.options:
        if group.title:
            yield f"*{group.title}*: {_escaped(group.summary)}\n"
        yield "| option | meaning | values | default |\n| --- | --- | --- | --- |"
        yield "".join(_row(one) for one in group.options)


def _row(option: Option) -> str:
    default = "required" if option.is_required else option.shown_default
    cells = (f"`{option.usage}`".replace("|", "\\|"), *map(_escaped, (option.help, option.values, default)))
    return f"| {' | '.join(cells)} |\n"


def _escaped(text: str) -> str:
    """The text with what Markdown would read as its own, outside backquotes, as it is."""
    parts = re.split(r"(`[^`]*`)", text)
    parts[::2] = [re.sub(r"([<*|\[\]])", r"\\\1", part) for part in parts[::2]]
    return "".join(parts)


def main() -> None:
    """Write the page."""
    PAGE.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
