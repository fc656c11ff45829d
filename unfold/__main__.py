"""`python -m unfold`."""

import sys

from unfold.apps.cli import main

sys.exit(main())
