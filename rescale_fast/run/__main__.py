"""`python -m rescale_fast.run`: all stages in one command."""

from rescale_fast.__main__ import console

if __name__ == "__main__":
    console("run")
