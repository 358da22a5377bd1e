"""``python -m esmlearn``."""

import sys

from esmlearn.cli import main

if __name__ == "__main__":
    sys.exit(main())
