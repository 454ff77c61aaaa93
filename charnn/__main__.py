"""``charnn``, and ``python -m charnn``; so ``torchrun -m charnn train`` works as well."""

import sys


def main() -> None:
    """Run the command line and exit."""
    try:
        from charnn.cli.app import run

        code = run()
    except KeyboardInterrupt:  # while importing
        code = 130
    sys.exit(code)


if __name__ == "__main__":
    main()
