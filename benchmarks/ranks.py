"""A benchmark that runs itself anew in one or several processes, of which the first prints what was found."""

import json
import os
import subprocess
import sys
from typing import Any

FOUND = "FOUND "


def found_by(file: str, world: int, *words: str) -> dict[str, Any]:
    """What `tell` printed in a run of a script with these words: by itself, or by torchrun as so many processes."""
    together = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(world)] if world > 1 else []
    done = subprocess.run(
        [sys.executable, *together, file, *words],
        capture_output=True,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    line = next((line for line in done.stdout.splitlines() if line.startswith(FOUND)), None)
    if line is None:
        raise SystemExit(done.stderr)
    return json.loads(line.removeprefix(FOUND))


def tell(found: dict[str, Any]) -> None:
    print(FOUND + json.dumps(found), flush=True)
