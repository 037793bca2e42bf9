"""Where things that can be made again are kept between runs: drawn data sets, trained networks."""

import os
from pathlib import Path


def cache_folder() -> Path:
    """$XDG_CACHE_HOME/rescale_fast, else ~/.cache/rescale_fast. Deleting it costs time, nothing else."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "rescale_fast"
