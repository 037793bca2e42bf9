"""Pictures by matplotlib, as PNG bytes."""

import io
from typing import Any


def new_figure(width: float, height: float) -> tuple[Any, Any]:
    """A figure of so many inches, and its axes."""
    from matplotlib.figure import Figure  # no pyplot: no global state, no window system

    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots()


def to_png(figure: Any) -> bytes:
    """The PNG of a figure."""
    from matplotlib.text import Text

    for text in figure.findobj(Text):
        text.set_parse_math(False)  # a dollar in a name is a dollar
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=130)
    return buffer.getvalue()


def shorten(name: str, limit: int = 18) -> str:
    """A name that fits beside a picture."""
    return name if len(name) <= limit else name[: limit - 1] + "\u2026"
