"""Runs the notebooks in docs/notebooks from top to bottom and stores what their cells print.

    python tools/notebooks.py

Only text is stored, so that no picture of anybody gets into the repository.
"""

import contextlib
import io
import json
from pathlib import Path

FOLDER = Path(__file__).parents[1] / "docs" / "notebooks"


def run(notebook: Path) -> None:
    """Run one notebook's cells in one namespace."""
    content = json.loads(notebook.read_text(encoding="utf-8"))
    room = {"__name__": "__main__"}
    cells = [cell for cell in content["cells"] if cell["cell_type"] == "code"]
    for number, cell in enumerate(cells, 1):
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile("".join(cell["source"]), str(notebook), "exec"), room)
        text = printed.getvalue().splitlines(keepends=True)
        cell["execution_count"] = number
        cell["outputs"] = [{"name": "stdout", "output_type": "stream", "text": text}] if text else []
    notebook.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    for path in sorted(FOLDER.glob("*.ipynb")):
        run(path)
        print(f"run: {path.name}")
