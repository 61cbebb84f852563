"""What an alignment came to: the sentence at its end, and the contact sheet to look at."""

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

from PIL import Image

from angulus.faces import Aligned, contact_sheet
from angulus.faces.crop_page import crop_page
from angulus.faces.journal import write_whole
from angulus.faces.photos import kinds_of
from angulus.image_files import HEIC_NEEDS


def save_sheet(page: Path, crops: list[Path]) -> None:
    """Write a contact sheet, PNG, whole or not at all."""
    content = BytesIO()
    Image.fromarray(contact_sheet(crops)).save(content, "PNG")
    write_whole(page, content.getvalue())


def save_page(page: Path, out: Path, done: Aligned) -> None:
    """Write the page with every crop, HTML, whole or not at all."""
    write_whole(page, crop_page(page, out, done.outcomes, done.ignored).encode())


def told(counts: dict[str, int], seconds: float, out: Path, page: Path | None, ignored: Sequence[str] = ()) -> str:
    """What was done, what could not be done, and what to look at."""
    new = counts["photos"] - counts["done_before"]
    pace = f", {1000 * seconds / new:.0f} ms a photo" if new else ""
    before = f" ({counts['done_before']:,} done before)" if counts["done_before"] else ""
    photos, crops = (f"{counts[what]:,} {what if counts[what] != 1 else what[:-1]}" for what in ("photos", "crops"))
    lines = [f"{photos}{before}, {crops}, {seconds:.1f} s{pace}: {out}"]
    if counts["without_face"]:
        lines.append(f"without a face: {counts['without_face']:,}, listed in {out / 'without_face.txt'}")
    if counts["unreadable"]:
        lines.append(f"unreadable: {counts['unreadable']:,}, listed in {out / 'unreadable.txt'}")
    if counts["without_reader"]:
        lines.append(f"{counts['without_reader']:,} of these: {HEIC_NEEDS}; then give the same command again")
    if ignored:
        lines.append(f"ignored, no photos by their names: {kinds_of(ignored)}, listed in {out / 'ignored.txt'}")
    if counts["gone"]:
        lines.append(
            f"crops of photos that are gone or were replaced: {counts['gone']:,}, moved to {out / '.gone'}, listed in "
            f"{out / 'gone.txt'}"
        )
    if page is not None:
        lines.append(f"look at {page} and {page.with_suffix('.html')}: the crops that fit worst come first")
    return "\n".join(lines)
