"""What becomes of damaged files: every reader against seeded mutations of a small sound file.

    python benchmarks/faults.py               300 mutations for each of 23 readers, about a minute
    python benchmarks/faults.py --each 1000

Byte flips, cuts, blocks inserted, repeated, zeroed and lost (tests/faults). Accepted are the same result and an
AngulusError; another exception, 10 s or 500 MB are a fault. A different result is counted as warned where a warning was
logged, as silent where none was.

Writes benchmarks/results/faults.json and faults.md.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results"


def table(rows: list[dict], each: int) -> str:
    """One line a reader."""
    lines = [
        f"Made by `python benchmarks/faults.py --each {each}`.",
        "",
        "| reader | same | refused | warned | silent | fault | why something stays silent |",
        "| --- | ---: | ---: | ---: | ---: | ---: | --- |",
    ]
    for row in rows:
        counts = " | ".join(str(row[name]) for name in ("same", "refused", "warned", "silent", "fault"))
        reason = row["reason"] if row["silent"] or row["warned"] else ""
        lines.append(f"| {row['reader']} | {counts} | {reason} |")
    return "\n".join(lines) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--each", type=int, default=300, help="mutations for each reader")
    each = parser.parse_args().each
    out = RESULTS / "faults.json"
    subprocess.run(
        [sys.executable, str(ROOT / "tests" / "faults" / "mutation_run.py"), str(each), str(out)], check=True
    )
    rows = json.loads(out.read_text())
    for row in rows:
        del row["longest"]  # another machine has another
    out.write_text(
        json.dumps({"command": f"python benchmarks/faults.py --each {each}", "readers": rows}, indent=1) + "\n"
    )
    text = table(rows, each)
    (RESULTS / "faults.md").write_text(text)
    print(text)
    return 1 if any(row["fault"] for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
