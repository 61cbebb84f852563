"""Pictures of the service's page at the width of a desktop and of a phone, to be looked at, from a service of its own.

    python tools/serve_pictures.py FOLDER                          drawn people and a made-up calibration
    python tools/serve_pictures.py FOLDER --bundle B --photos P [--detector mtcnn | --crops]

P: a folder with one sub-folder for each person, four at least, two photos each. Needs playwright and a Chromium.
"""

import argparse
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests" / "serve")]

import page_drive  # noqa: E402

WIDTHS = {"desktop": 1280, "phone": 390}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--bundle", type=Path)
    parser.add_argument("--photos", type=Path)
    parser.add_argument("--detector")
    parser.add_argument("--crops", action="store_true")
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    for kind, width in WIDTHS.items():
        bundle, people, crops = given.bundle, given.photos, given.crops
        if bundle is None or people is None:
            bundle, people = drawn(given.folder / f"drawn_{kind}")
            crops = True
        words = ["--crops"] if crops else ["--detector", given.detector or "bundle"]
        state = given.folder / f"state_{kind}"
        if state.exists():
            sys.exit(f"{state} is there from another time: remove it, or name another folder")
        words += ["--bundle", str(bundle), "--gallery", str(state / "gallery"), "--state", str(state / "log")]
        process = subprocess.Popen(
            [sys.executable, "-m", "angulus", "serve", "--open", "--port", "0", "--keep-crops", "--quiet", *words],
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            assert process.stdout is not None
            url = process.stdout.readline().split()[-1]
            photograph(url, width, sorted(people.iterdir()), given.folder, kind)
        finally:
            process.terminate()
            process.wait()


def drawn(folder: Path) -> tuple[Path, Path]:
    """A small bundle, and crops of made-up people."""
    from service_parts import fine_curves, write_people
    from small_bundles import write_bundle

    bundle = write_bundle(folder / "bundle", measured=fine_curves)
    return bundle, write_people(folder / "people", 4)


def photograph(url: str, width: int, people: list[Path], folder: Path, kind: str) -> None:
    photos = [sorted(person.iterdir()) for person in people]
    known, stranger = photos[:3], photos[3]
    with page_drive.opened(url, width=width) as page:

        def picture(name: str) -> None:
            page.wait_for_timeout(200)
            page.screenshot(path=folder / f"{kind}_{name}.png", full_page=True)
            if (over := page_drive.overflow(page)) > 0:
                print(f"{kind}: {name} is {over} pixels too wide")

        picture("start")
        for name, each in zip(page_drive.PEOPLE, known, strict=True):
            print(kind, page_drive.enrol(page, name, each[:2]))
        picture("enrol")
        print(kind, page_drive.search(page, known[1][-1]))
        picture("found")
        print(kind, page_drive.search(page, stranger[0]))
        picture("unknown")
        print(kind, page_drive.verify(page, known[0][0], known[0][1]))
        picture("same")
        print(kind, page_drive.verify(page, known[0][0], stranger[0]))
        picture("different")
        page_drive.threshold(page)
        picture("threshold")
        print(kind, page_drive.drag(page, 0.9))
        picture("unresolved")
        print(kind, page_drive.drag(page, 0.7))
        page_drive.choose(page, "search", "B. Officer", "one false alarm in a hundred is bearable")
        picture("chosen")
        print(kind, "troubles:", page.troubles or "none")
    with page_drive.opened(url, width=width, dark=True) as page:
        page_drive.threshold(page)
        page.screenshot(path=folder / f"{kind}_dark.png", full_page=True)


if __name__ == "__main__":
    main()
