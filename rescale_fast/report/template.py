"""Pages from templates: the style, the script and the filters that they share, and the file written whole.

A page loads nothing: its Content-Security-Policy allows no request, and no script but page.js, by its digest.
"""

import base64
import hashlib
from importlib.resources import files
from pathlib import Path
from typing import Any

from rescale_fast.artifact import write_whole
from rescale_fast.terminal import printable


def write_page(template: str, path: Path, **values: Any) -> None:
    """Fill a template of this package, such as page.html, and write it to `path`."""
    from jinja2 import Environment, FunctionLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=FunctionLoader(_text),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.finalize = lambda value: printable(value) if type(value) is str else value
    environment.filters["percent"] = lambda share: f"{100 * share:.1f}\N{NO-BREAK SPACE}%"
    environment.filters["thousands"] = lambda number: f"{number:,.0f}"
    script = _text("page.js")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    page = environment.get_template(template).render(**values, script=Markup(script), script_sha256=digest)
    with write_whole(path) as temporary:
        temporary.write_text(page, encoding="utf-8")


def _text(name: str) -> str:
    return files("rescale_fast.report").joinpath(name).read_text(encoding="utf-8")
