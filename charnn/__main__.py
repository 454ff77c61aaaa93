"""``charnn``, and ``python -m charnn``; so ``torchrun -m charnn train`` works as well."""

import signal
import sys
import warnings


def main() -> None:
    """Run the command line and exit."""
    if not sys.warnoptions:  # what libraries warn of is for those who program with them
        warnings.simplefilter("ignore")
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, _leave)
    try:
        from charnn.cli.app import run

        code = run()
    except KeyboardInterrupt:  # while importing
        code = 130
    # All is done: leaving takes torch a second, in which nothing is left to stop.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sys.exit(code)


def _leave(number: int, frame: object) -> None:
    """Leave nothing half-written behind: whatever is under way is undone."""
    sys.exit(128 + number)


if __name__ == "__main__":
    main()
