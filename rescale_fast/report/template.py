"""Pages from templates: the filters that they share, and the file written whole."""

from importlib.resources import files
from pathlib import Path
from typing import Any

from rescale_fast.artifact import write_whole
from rescale_fast.terminal import printable


def write_page(template: str, path: Path, **values: Any) -> None:
    """Fill a template of this package, such as page.html, and write it to `path`."""
    from jinja2 import Environment, FunctionLoader, StrictUndefined

    environment = Environment(
        loader=FunctionLoader(lambda name: files("rescale_fast.report").joinpath(name).read_text(encoding="utf-8")),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.finalize = lambda value: printable(value) if type(value) is str else value
    environment.filters["percent"] = lambda share: f"{100 * share:.1f}\N{NO-BREAK SPACE}%"
    environment.filters["thousands"] = lambda number: f"{number:,.0f}"
    page = environment.get_template(template).render(**values)
    with write_whole(path) as temporary:
        temporary.write_text(page, encoding="utf-8")
