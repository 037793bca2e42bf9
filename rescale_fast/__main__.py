"""`python -m rescale_fast COMMAND`, the same as `rescale-fast COMMAND`."""

import sys

from rescale_fast.run.commands import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
