"""Errors a user can act on. Each message says what was found, what was expected, and what to do next."""

from pathlib import Path


class RescaleError(Exception):
    """Base of every error that ends a command with one clear message instead of a traceback."""

    exit_code = 1


class SettingError(RescaleError, ValueError):
    """A setting that no data could make right, such as k < 2. DamageError usage: exit code 2."""

    exit_code = 2


class DatasetError(RescaleError, ValueError):
    """The images on disk are not what the command needs."""


class ImageError(DatasetError):
    """One image file cannot be used. `reason` is why, without the path."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(path, reason)  # what it can be unpickled from
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.args[0]}: {self.reason}"


class NetworkError(RescaleError, RuntimeError):
    """A network or its weights cannot be loaded, or do not fit the data set."""


class UnknownNetworkError(NetworkError):
    """No network has this name, it needs a package that is not installed, or one's own code makes none that fits.
    Wrong usage: exit code 2."""

    exit_code = 2


class ArtifactError(RescaleError, RuntimeError):
    """A file of ours is damaged, of another schema, or does not belong to this run."""


class UnreadableFileError(ArtifactError):
    """A file does not hold what it should.

    Whether to have it made again or to give another depends on whose it is, which who reads it does not know: `then` is
    what anybody may do; a run folder says instead that what its own commands made can be deleted.
    """

    def __init__(self, path: Path, what: str, then: str) -> None:
        super().__init__(path, what, then)  # what it can be unpickled from
        self.path, self.what, self.then = path, what, then

    def __str__(self) -> str:
        return f"{self.path}: {self.what}. {self.then}"


class MissingInputError(RescaleError, RuntimeError):
    """A stage was asked for before the stage that makes its input."""


class OutputError(RescaleError, RuntimeError):
    """The output cannot be written."""


class TrainingError(RescaleError, RuntimeError):
    """Training cannot go on: a loss that is not a number, a dead loader, too little memory."""
