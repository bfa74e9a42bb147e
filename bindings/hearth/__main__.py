"""`python -m hearth`: the command where no script is installed."""

import sys

from hearth.interrupts import ending_at_once

with ending_at_once():
    from hearth.cli import main

sys.exit(main())
