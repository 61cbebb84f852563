"""The pages that are gathered for the site link to each other, and the site builds without a warning."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def gathered(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site") / "docs"
    tool = [sys.executable, str(ROOT / "tools" / "site_pages.py"), str(folder)]
    path = os.pathsep.join(filter(None, [str(ROOT / "src"), os.environ.get("PYTHONPATH", "")]))
    subprocess.run(tool, check=True, timeout=300, env={**os.environ, "PYTHONPATH": path}, stdout=subprocess.DEVNULL)
    return folder


def test_no_link_leads_out_of_the_site(gathered):
    lost = []
    for page in gathered.rglob("*.md"):
        text = re.sub(r"^```.*?^```$|`[^`\n]*`", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)
        for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", text):
            place = (page.parent / target).resolve()
            if "://" not in target and not (place.is_relative_to(gathered) and place.exists()):
                lost.append((str(page.relative_to(gathered)), target))
    assert lost == []


def test_it_builds_without_a_warning(gathered, tmp_path):
    pytest.importorskip("material", reason="mkdocs-material is not installed: make docs installs it")
    settings = (ROOT / "mkdocs.yml").read_text().replace("build/docs", str(gathered)).replace("build/site", "site")
    (tmp_path / "mkdocs.yml").write_text(settings)
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    for page in (tmp_path / "site").rglob("*.html"):
        loaded = re.findall(r"<(?:script|link|img)\b[^>]*\b(?:src|href)=\"?(https?://[^\s\">]+)", page.read_text())
        assert [url for url in loaded if "canonical" not in url] == [], page
