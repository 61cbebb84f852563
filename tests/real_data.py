"""Where the real photos lie beside a checkout of the project; tests that need them skip where they are absent."""

import os
from pathlib import Path

import pytest

SHARED = Path(os.environ.get("ANGULUS_DATA", Path(__file__).parents[2] / "shared" / "data"))

needs_shared = pytest.mark.skipif(
    not SHARED.exists(), reason="the real faces are not here: set ANGULUS_DATA to the folder that holds lfw112"
)
