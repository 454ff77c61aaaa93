"""``python -m charnn`` is ``charnn``; so ``torchrun -m charnn train`` works as well."""

from charnn.cli.app import main

if __name__ == "__main__":
    main()
