"""The documents' tables of heads, from the JSON files of benchmarks/heads.py.

    python benchmarks/head_tables.py

heads_cpu_100k.md    every head at 100,000 classes, N = 128
heads_cpu_sizes.md   time over the floor and memory at every size that was measured
heads_<slug>.md      every head at the first size of the file of that name, for machines that are named in it

The first two are of a machine that was measured before files named theirs.
"""

import json
from pathlib import Path
from typing import Any

from heads import RESULTS, table

FILES = ("heads_cpu.json", "heads_cpu_large.json", "heads_cpu_512.json", "heads_cpu_k3.json")
COMMAND = "`python benchmarks/head_tables.py`\n\n"


def runs() -> list[dict[str, Any]]:
    """The sizes of all files, in order."""
    return [
        run for name in FILES if (RESULTS / name).exists() for run in json.loads((RESULTS / name).read_text())["runs"]
    ]


def here(heads: dict[str, Any]) -> dict[str, Any]:
    """Without the heads that this machine cannot run at any size."""
    return {name: known for name, known in heads.items() if not known["note"].startswith("not here")}


def cell(known: dict[str, Any] | None) -> str:
    if known is None:
        return ""
    if "ratio" not in known:
        return known["note"].partition(":")[0]
    memory = f", {known['memory_bytes'] / 2**20:,.0f}" if "memory_bytes" in known else ""
    return f"{known['ratio']:.2f}{memory}"


def sizes(found: list[dict[str, Any]]) -> str:
    """A row for each head, a column for each size: time over the floor, MiB of memory."""
    names = list(dict.fromkeys(name for run in found for name in here(run["heads"]) if name != "floor-again"))
    titles = [f"C {run['classes']:,}, N {run['examples']}, K {run['subcenters']}" for run in found]
    lines = ["| " + " | ".join(["head", *titles]) + " |", "|---" * (len(titles) + 1) + "|"]
    lines += ["| " + " | ".join([name, *(cell(run["heads"].get(name)) for run in found)]) + " |" for name in names]
    return "\n".join(lines)


def main() -> None:
    found = runs()
    hundred = next(run for run in found if (run["classes"], run["examples"], run["subcenters"]) == (100_000, 128, 1))
    detailed = table(here(hundred["heads"]), hundred["compared_with"])
    for name, text in (("heads_cpu_100k.md", detailed), ("heads_cpu_sizes.md", sizes(found))):
        Path(RESULTS / name).write_text(COMMAND + text + "\n", encoding="utf-8")
    for file in sorted(set(RESULTS.glob("heads_*.json")) - {RESULTS / name for name in FILES}):
        run = json.loads(file.read_text(encoding="utf-8"))["runs"][0]
        text = table(here(run["heads"]), run["compared_with"])
        file.with_suffix(".md").write_text(COMMAND + text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
