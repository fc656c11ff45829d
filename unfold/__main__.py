"""`python -m unfold`."""

import sys

from unfold.cli import main

sys.exit(main())
