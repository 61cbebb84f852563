"""Every Python example in the documents runs, page by page, and prints what the page says it prints."""

import contextlib
import io
import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from faces_drawn import face
from PIL import Image
from small_bundles import write_bundle

from angulus.faces import ARCFACE, Face
from angulus.models import InputSpec, TinyNet, save_model

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"^```(?P<kind>\w*)\n(?P<text>.*?)^```$", re.DOTALL | re.MULTILINE)
PAGES = [
    page for page in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))] if "```python" in page.read_text()
]
NOTEBOOKS = sorted((ROOT / "docs").rglob("*.ipynb"))


def parts_of(page: Path) -> list[tuple[str, str | None]]:
    """Each Python block with the text that follows it directly, which is what it prints."""
    text = page.read_text()
    blocks = list(BLOCK.finditer(text))
    parts = []
    for place, block in enumerate(blocks):
        if block["kind"] == "python":
            following = blocks[place + 1] if place + 1 < len(blocks) else None
            between = "" if following is None else text[block.end() : following.start()].strip()
            is_output = following is not None and following["kind"] == "text" and not between
            parts.append((block["text"], following["text"] if following is not None and is_output else None))
    return parts


class OneFace:
    """A detector that finds a face in the middle of every photo."""

    def detect(self, photo):
        return (Face(box=np.array([19.0, 19, 131, 131]), landmarks=ARCFACE.array() + 19, score=0.9),)


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path, monkeypatch):
    """With a bundle, two photos, a model and people, which pages about deciding speak of."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("angulus.runtime.recognition.open_detector", lambda bundle, choice: OneFace())
    write_bundle(tmp_path / "faces.bundle")
    config = TinyNet(channels=(8,), units=(0,), embedding_dim=8, input=InputSpec(height=16, width=16))
    save_model(tmp_path / "runs" / "x", config.build(), config)
    for person in range(12):
        (tmp_path / "others" / f"p{person}").mkdir(parents=True)
        for number in range(3):
            picture = Image.fromarray(face(person, number, side=16))
            picture.save(tmp_path / "others" / f"p{person}" / f"{number}.png")
    for name, person in (("a", 1), ("b", 2)):
        Image.fromarray(np.pad(face(person, side=112), ((19, 19), (19, 19), (0, 0)))).save(tmp_path / f"{name}.jpg")
    threads = torch.get_num_threads()
    with torch.random.fork_rng():
        yield
    torch.set_num_threads(threads)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_examples_of_a_page_print_what_it_says(page):
    room = {"__name__": "__main__"}
    for code, wanted in parts_of(page):
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(code, str(page), "exec"), room)
        if wanted is not None:
            assert printed.getvalue() == wanted, code


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.name)
def test_a_notebook_runs_and_holds_no_picture(notebook):
    content = json.loads(notebook.read_text())
    room = {"__name__": "__main__"}
    for cell in content["cells"]:
        if cell["cell_type"] == "code":
            printed = io.StringIO()
            with contextlib.redirect_stdout(printed):
                exec(compile("".join(cell["source"]), str(notebook), "exec"), room)
            stored = "".join(text for output in cell["outputs"] for text in output.get("text", []))
            assert printed.getvalue() == stored, "run: python tools/notebooks.py"
    assert "image/" not in notebook.read_text()


def test_there_are_examples():
    assert len(PAGES) >= 6
    assert NOTEBOOKS
