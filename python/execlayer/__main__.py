"""``python -m execlayer`` is the command ``execlayer``."""

import sys

from .cli import main

if __name__ == "__main__":
    sys.exit(main())
