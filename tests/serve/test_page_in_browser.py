"""The page in Chromium at two widths: three people are enrolled, a stranger is unknown, the threshold is dragged."""

import os
import re
import select
import subprocess
import sys

import page_drive
import pytest
from service_parts import fine_curves, write_people
from small_bundles import write_bundle

pytest.importorskip("playwright")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(page_drive.chromium() is None, reason="there is no Chromium on this machine"),
]


@pytest.fixture
def served(tmp_path):
    bundle = write_bundle(tmp_path / "bundle", measured=fine_curves)
    words = ["--open", "--port", "0", "--crops", "--keep-crops", "--quiet", "--bundle", str(bundle)]
    words += ["--gallery", str(tmp_path / "gallery"), "--state", str(tmp_path / "state")]
    process = subprocess.Popen(
        [sys.executable, "-m", "angulus", "serve", *words],
        **{"stdout": subprocess.PIPE, "text": True, "env": {**os.environ, "OMP_NUM_THREADS": "1"}},
    )
    try:
        assert select.select([process.stdout], [], [], 60)[0]
        yield process.stdout.readline().split()[-1], write_people(tmp_path / "people", 4)
    finally:
        process.terminate()
        process.wait(30)


@pytest.mark.parametrize("width", [1280, 390])
def test_the_page(served, width):
    url, folder = served
    *known, stranger = [sorted(person.iterdir()) for person in sorted(folder.iterdir())]
    with page_drive.opened(url, width=width) as page:
        for name, photos in zip(page_drive.PEOPLE, known, strict=True):
            assert page_drive.enrol(page, name, photos) == f"{name} is enrolled"
        assert page_drive.search(page, known[1][0]) == page_drive.PEOPLE[1]
        assert page.locator(".match img").count() == 1
        assert page_drive.search(page, stranger[0]) == "Unknown"
        assert page_drive.verify(page, known[0][0], known[0][1]) == "The same person"
        assert page_drive.verify(page, known[0][0], known[2][0]) == "Different people"
        assert page_drive.overflow(page) <= 0

        line = page_drive.threshold(page)
        assert page.locator("#rates tr").count() == 3
        assert page_drive.drag(page, 0.5) == pytest.approx(0.3, abs=0.02)
        before = page.locator("#rates").inner_text()
        line.press("ArrowRight")
        for _ in range(30):
            line.press("ArrowRight")
        assert page.locator("#rates").inner_text() != before
        assert re.match(r"threshold 0\.3\d\d: FAR [\d.]+ %, FRR [\d.]+ %, FPIR", line.get_attribute("aria-valuetext"))
        page_drive.drag(page, 0.9)
        assert "your data cannot resolve below this" in page.locator("#rates").inner_text()
        page_drive.drag(page, 0.55)
        said = page_drive.choose(page, "search", "B. Officer", "one false alarm in a hundred")
        assert "in force: searching, FPIR" in said
        assert "B. Officer (anyone)" in said
        assert page_drive.overflow(page) <= 0

        page_drive.tab(page, "Enrol")
        page.get_by_role("button", name="Remove Ann Lee").click()
        page.get_by_text("Ann Lee is removed").wait_for()
        assert "Ann Lee" not in page.locator("#people").inner_text()
        assert page.troubles == []
    with page_drive.opened(url, width=width, dark=True) as page:
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.textContent") == "To the content"
        page.get_by_role("tab", name="Verify").focus()
        page.keyboard.press("ArrowLeft")
        assert page.locator("[role=tab][aria-selected=true]").inner_text() == "Threshold"
        assert page.evaluate("document.activeElement.id") == "tab-threshold"
        assert page.troubles == []


def test_the_camera_takes_a_photo(served):
    with page_drive.opened(served[0]) as page:
        assert "camera.jpg" in page_drive.shoot(page)
        assert page.troubles == []


@pytest.mark.parametrize("dark", [False, True])
def test_nothing_keeps_people_from_using_the_page(served, dark):
    pytest.importorskip("axe_playwright_python")
    url, folder = served
    *known, stranger = [sorted(person.iterdir()) for person in sorted(folder.iterdir())]
    with page_drive.opened(url, width=390, dark=dark) as page:
        assert page_drive.barriers(page) == []
        for act in (
            lambda: page_drive.enrol(page, page_drive.PEOPLE[0], known[0]),
            lambda: page_drive.search(page, known[0][0]),
            lambda: page_drive.search(page, stranger[0]),
            lambda: page_drive.verify(page, known[0][0], known[2][0]),
            lambda: page_drive.drag(page, 0.9) if page_drive.threshold(page) else None,
        ):
            act()
            assert page_drive.barriers(page) == []
