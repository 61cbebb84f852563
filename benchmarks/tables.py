"""Keeps the tables in the documents equal to the files that the commands wrote.

A block between `<!-- table: FILE -->` and `<!-- end -->` is replaced by the Markdown table in FILE.

    python benchmarks/tables.py            rewrite README.md and the pages in docs/
    python benchmarks/tables.py --check    exit 1 if one of them is out of date
"""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
BLOCK = re.compile(r"(<!-- table: (?P<file>\S+) -->\n).*?(<!-- end -->)", re.DOTALL)


def table_of(file: Path) -> str:
    """The lines of a Markdown file that belong to its first table."""
    lines = file.read_text(encoding="utf-8").splitlines()
    first = next(index for index, line in enumerate(lines) if line.startswith("|"))
    rows = [lines[first]]
    for line in lines[first + 1 :]:
        if not line.startswith("|"):
            break
        rows.append(line)
    return "\n".join(rows) + "\n"


def renewed(text: str) -> str:
    """The document with every block filled from its file."""
    return BLOCK.sub(lambda block: block[1] + table_of(ROOT / block["file"]) + block[3], text)


def main() -> int:
    stale = []
    for document in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]:
        text = document.read_text(encoding="utf-8")
        if renewed(text) != text:
            stale.append(document.name)
            if "--check" not in sys.argv:
                document.write_text(renewed(text), encoding="utf-8")
    print(f"{'out of date' if '--check' in sys.argv else 'rewritten'}: {', '.join(stale) or 'nothing'}")
    return 1 if stale and "--check" in sys.argv else 0


if __name__ == "__main__":
    sys.exit(main())
