"""Pictures of the built site at the width of a desktop and of a phone, to be looked at, from a server of its own.

    make docs && python tools/site_pictures.py FOLDER [PAGE ...]

Needs playwright (`pip install playwright`) and a Chromium on the machine. Says which pages are wider than the window.
PAGE: as in tutorials/fine_tune; all where none is named.
"""

import shutil
import sys
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

from playwright.sync_api import sync_playwright

SITE = Path(__file__).parents[1] / "build" / "site"
WIDTHS = {"desktop": 1280, "phone": 390}
TALLEST = 2600


class Quiet(SimpleHTTPRequestHandler):
    """A server of files that says nothing of each."""

    def log_message(self, *words: object) -> None:
        pass


def main() -> None:
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    pages = [SITE / page.removesuffix(".html") for page in sys.argv[2:]]
    pages = [page.with_suffix(".html") for page in pages] or sorted(SITE.rglob("*.html"))
    if absent := [str(page.relative_to(SITE)) for page in pages if not page.is_file()]:
        sys.exit(f"no such page in {SITE}: {', '.join(absent)}")
    if not pages:
        sys.exit(f"no site in {SITE}: make docs builds it")
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(SITE)))
    Thread(target=server.serve_forever, daemon=True).start()
    home = f"http://127.0.0.1:{server.server_port}"
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    with sync_playwright() as tools:
        browser = tools.chromium.launch(executable_path=program, args=["--no-sandbox"])
        for kind, width in WIDTHS.items():
            window = browser.new_page(viewport={"width": width, "height": 900})
            asked: list[str] = []
            window.on("request", lambda request, asked=asked: asked.append(request.url))
            for page in pages:
                window.goto(f"{home}/{page.relative_to(SITE)}")
                window.wait_for_timeout(150)
                size = window.evaluate("[document.documentElement.scrollWidth, document.documentElement.scrollHeight]")
                if size[0] > width:
                    print(f"{kind}: {page.relative_to(SITE)} is {size[0]} pixels wide in a window of {width}")
                name = f"{kind}_{'_'.join(page.relative_to(SITE).with_suffix('').parts)}.png"
                clip = {"x": 0, "y": 0, "width": width, "height": min(size[1], TALLEST)}
                window.screenshot(path=folder / name, full_page=True, clip=clip)
            outside = sorted({url for url in asked if not url.startswith((home, "data:", "blob:"))})
            print(f"{kind}: {len(pages)} pages; fetched from elsewhere: {', '.join(outside) or 'nothing'}")
        browser.close()


if __name__ == "__main__":
    main()
