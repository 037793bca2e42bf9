"""`python -m rescale_fast.run`: the whole corridor in one command."""

import sys

from rescale_fast.run.commands import main

if __name__ == "__main__":
    sys.exit(main(["run", *sys.argv[1:]]))
