"""Gathers the pages of the site in build/docs: docs/, the reference made from the code, what pages link to.

    python tools/site_pages.py [FOLDER]

A link that leads out of docs/ (a committed figure, SECURITY.md) is made to lead to a copy of that file under files/.
"""

import re
import shutil
import sys
from pathlib import Path

import reference_pages

ROOT = Path(__file__).parents[1]
OUTSIDE = re.compile(r"\]\((?P<up>(?:\.\./)+)(?P<file>[^)#\s]+)(?P<anchor>#[^)\s]*)?\)")
ALWAYS = ("SECURITY.md",)


def gather(folder: Path) -> None:
    """Write every page and picture of the site into `folder`, anew."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(ROOT / "docs", folder, ignore=shutil.ignore_patterns("__pycache__", ".*"))
    for name, text in reference_pages.pages().items():
        page = folder / "reference" / name
        page.parent.mkdir(exist_ok=True)
        page.write_text(text, encoding="utf-8")
    linked = {ROOT / name for name in ALWAYS}
    for page in sorted(folder.rglob("*.md")):
        text, found = with_links_inside(page.read_text(encoding="utf-8"), page.relative_to(folder))
        page.write_text(text, encoding="utf-8")
        linked |= found
    for file in sorted(linked):
        copy = folder / "files" / file.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        text, _ = with_links_inside(file.read_text(encoding="utf-8"), copy.relative_to(folder), shallow=True)
        copy.write_text(text if file.suffix == ".md" else file.read_text(encoding="utf-8"), encoding="utf-8")


def with_links_inside(text: str, page: Path, *, shallow: bool = False) -> tuple[str, set[Path]]:
    """The text of a page with links out of docs/ turned to copies, and the files of the repository that they name."""
    found: set[Path] = set()

    def turned(link: re.Match[str]) -> str:
        levels = link["up"].count("/")
        if levels != len(page.parts) or not (ROOT / link["file"]).is_file():
            return link[0]
        found.add(ROOT / link["file"])
        return f"]({'../' * (levels - 1)}files/{link['file']}{link['anchor'] or ''})"

    if shallow:  # a copied page: what it links to is not part of the site
        return re.sub(r"\[([^\]]*)\]\((?!https?:)[^)]*\)", r"\1", text), found
    return OUTSIDE.sub(turned, text), found


if __name__ == "__main__":
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "build" / "docs"
    gather(target)
    print(f"pages of the site: {target}")
