"""`python -m angulus` is the same as `angulus`."""

import sys

from angulus.cli.main import main

sys.exit(main())
