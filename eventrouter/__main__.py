"""`python -m eventrouter` is the command `eventrouter`."""

import sys

from eventrouter.cli import main

sys.exit(main())
