"""`python -m rescale_fast.run`: the whole corridor in one command."""

import sys

from rescale_fast.run.commands import main
from rescale_fast.terminal import end_process

if __name__ == "__main__":
    end_process(main(["run", *sys.argv[1:]]))
