"""`python -m hearth`: the command where no script is installed."""

import sys

from hearth.cli import main

sys.exit(main())
