"""`python -m rescale_fast COMMAND`, the same as `rescale-fast COMMAND`."""

import signal
import sys


def console(*command: str) -> None:
    """Run the command line, after `command`, and end the process with its exit code."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # while there is nothing to tidy up, Ctrl-C ends without a word
    from rescale_fast.terminal import end_process, occupy_standard_streams

    occupy_standard_streams()
    from rescale_fast.run.commands import main

    end_process(main([*command, *sys.argv[1:]]))


if __name__ == "__main__":
    console()
