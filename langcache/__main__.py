"""`python -m langcache`: see `langcache.cli`."""

import sys

from .cli import main

sys.exit(main())
