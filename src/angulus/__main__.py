"""`python -m angulus` is the same as `angulus`."""

import sys

from angulus.cli.application import main

sys.exit(main())
