"""Which m and which last lambda should SphereFace have where nobody says? TAR at FAR 1e-2 on people held out.

    python benchmarks/sphereface_numbers.py                       the sets of `settings.py` that cost least
    python benchmarks/sphereface_numbers.py --domains lfw-4       one of them
    python benchmarks/sphereface_numbers.py --table               the table of what is there

Everything but the margin is what a run chooses, as in `settings.py`: 32 pixels, half of the passes, two seeds. Lambda
falls from 10 within the first half of the run. A rule is to be chosen by the `tune` people; the `test` people are
shown beside them.
"""

import argparse
import json
import sys
from pathlib import Path
from statistics import fmean

import machines
from kept_rows import KeptRows, Row
from settings import RESULTS, SEEDS, Places, Settings, Task, counted, default_settings, run

DOMAINS = ("lfw-pairs", "lfw-4", "lfw-50", "orl")
NUMBERS = ((2.0, 0.0), (2.0, 2.0), (2.0, 5.0), (1.5, 0.0), (1.5, 1.0), (4.0, 5.0))
PASSES = 0.5


def margin_of(m: float, last: float) -> Settings:
    annealing = {"name": "linear", "start": 10.0, "end": last, "until": 0.5, "unit": "run"}
    return {"name": "sphereface", "m": m, "annealing": annealing}


def measure(kept: KeptRows, places: Places, name: str) -> None:
    domain = places.domains()[name]
    default = default_settings(domain, "sphereface", counted(domain), places.size)
    for m, last in NUMBERS:
        for seed in SEEDS:
            key = f"{name} | {m:g}, {last:g} | {seed}"
            if key not in kept:
                settings = json.dumps({**default, "margin": margin_of(m, last)})
                row = run(Task(name, "sphereface", settings, PASSES, seed), places)
                kept.add(key, {part: row[part] for part in ("tune", "test", "test_eer", "seconds")})


def table(rows: dict[str, Row]) -> str:
    """Tune and test people in percent, mean of the seeds."""
    lines = [f"| m, last lambda | {' | '.join(DOMAINS)} |", f"| --- |{' ---: |' * len(DOMAINS)}"]
    for m, last in NUMBERS:
        cells = []
        for name in DOMAINS:
            found = [row for key, row in rows.items() if key.startswith(f"{name} | {m:g}, {last:g} | ")]
            whole = len(found) == len(SEEDS)
            both = [f"{100 * fmean(row[part] for row in found):.0f}" for part in ("tune", "test")] if whole else []
            cells.append(" / ".join(both) or "-")
        lines.append(f"| {m:g}, {last:g} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path(__file__).parents[2] / "shared" / "data")
    parser.add_argument("--domains", nargs="+", default=DOMAINS, choices=DOMAINS)
    parser.add_argument("--table", action="store_true")
    parser.add_argument("--out", type=Path, default=RESULTS / f"sphereface_numbers_{machines.slug()}.json")
    asked = parser.parse_args()
    kept = KeptRows(asked.out, {"command": "python benchmarks/sphereface_numbers.py"})
    for name in () if asked.table else asked.domains:
        measure(kept, Places(asked.data), name)
    asked.out.with_suffix(".md").write_text(table(kept.rows))
    print(table(kept.rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
