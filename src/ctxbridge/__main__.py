"""``python -m ctxbridge``: the command line."""

import sys

from ctxbridge.cli import main

sys.exit(main())
