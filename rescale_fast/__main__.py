"""`python -m rescale_fast COMMAND`, the same as `rescale-fast COMMAND`."""

from rescale_fast.run.commands import main
from rescale_fast.terminal import end_process


def console() -> None:
    end_process(main())


if __name__ == "__main__":
    console()
