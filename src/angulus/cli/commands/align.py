"""`angulus align`: a folder of photos in, a folder of aligned crops, a manifest and a contact sheet out."""

from pathlib import Path
from typing import Annotated, Literal

from angulus.cli.options import Flag, Json, check_output, save_json


def align(
    photos: Path,
    out: Path,
    /,
    *,
    detector: Literal["auto", "mtcnn", "yuface", "scrfd", "retinaface", "yunet", "landmarks"] = "auto",
    file: Path | None = None,
    template: Literal["arcface", "sphereface"] = "arcface",
    height: int | None = None,
    choose: Literal["prominent", "largest", "central", "surest", "all"] = "prominent",
    format: Literal["jpg", "png"] = "jpg",
    min_face: float = 40.0,
    score: float | None = None,
    turn: float = 0.0,
    jobs: int = 1,
    sheet: Path | None = None,
    sheet_crops: int = 600,
    no_sheet: Annotated[bool, Flag] = False,
    device: str = "cpu",
    quiet: Annotated[bool, Flag] = False,
    json: Json = None,
) -> None:
    """Find the faces on photos and cut them out, eyes, nose and mouth at the same places in every crop.

    OUT gets the crops in the folders and under the names of the photos, manifest.csv (where each crop comes from, box,
    landmarks, score, which face was taken and why), and lists of photos without a face and of unreadable files. Given
    again, the command goes on where it was.

    Parameters
    ----------
    photos
        A folder with photos at any depth.
    out
        The folder for the crops.
    detector
        auto: mtcnn where it is installed, else yuface. scrfd, retinaface, yunet: an ONNX file of yours. landmarks: a
        csv of landmarks, or a list as LFW's.
    file
        The ONNX file, or the file of landmarks.
    template
        arcface: 112x112. sphereface: 112x96, the columns 8 to 103 of the other.
    height
        Another height for the crops, the width in proportion; the same piece of the face is shown.
    choose
        Which face of several: the prominent one (large and near the middle), the largest, the most central, the one
        with the highest score, or all of them.
    format
        jpg (quality 95) or png.
    min_face
        The smallest face to look for, in pixels of the photo (mtcnn): larger is faster.
    score
        The least score of a face, 0 to 1; left out, the detector's own.
    turn
        Look again at the photo turned by 90, 180 and 270 degrees when the best score is below this, for example 0.95.
    jobs
        Processes.
    sheet
        The contact sheet, PNG; left out, OUT_contact.png beside OUT.
    sheet_crops
        How many crops it shows; those whose landmarks fit the template worst come first.
    no_sheet
        Make no contact sheet.
    device
        auto, cpu, cuda or cuda:N, for mtcnn.
    quiet
        Show warnings only.
    json
        Write what was done to this file.
    """
    page = None if no_sheet else sheet or out.with_name(f"{out.name}_contact.png")
    check_output(json, page)
    from angulus.cli.options import device_named
    from angulus.cli.terminal import image_progress
    from angulus.faces import AlignOptions, DetectorChoice, align_folder, template_named

    found = DetectorChoice(
        name=detector, file=file, min_face=min_face, score=score, turn=turn, device=device_named(device)
    )
    options = AlignOptions(template=template_named(template, height), choose=choose, kind=format, detector=found)
    try:
        with image_progress(quiet=quiet, doing="aligning") as progress:
            done = align_folder(photos, out, options, jobs=jobs, progress=progress)
    except KeyboardInterrupt:
        raise KeyboardInterrupt("finished photos are kept, give the same command again to go on") from None
    crops = [out / crop.path for crop in done.worst_first()[:sheet_crops]]
    if page is not None and crops:
        _save_sheet(page, crops)
    counts = done.counts()
    print(_told(counts, done.seconds, out, page if crops else None))
    save_json(json, {"photos_folder": str(photos), "out": str(out), **counts, "seconds": round(done.seconds, 2)})


def _save_sheet(page: Path, crops: list[Path]) -> None:
    from io import BytesIO

    from PIL import Image

    from angulus.faces import contact_sheet
    from angulus.faces.journal import write_whole

    content = BytesIO()
    Image.fromarray(contact_sheet(crops)).save(content, "PNG")
    write_whole(page, content.getvalue())


def _told(counts: dict[str, int], seconds: float, out: Path, page: Path | None) -> str:
    new = counts["photos"] - counts["done_before"]
    pace = f", {1000 * seconds / new:.0f} ms a photo" if new else ""
    before = f" ({counts['done_before']:,} done before)" if counts["done_before"] else ""
    photos, crops = (f"{counts[what]:,} {what if counts[what] != 1 else what[:-1]}" for what in ("photos", "crops"))
    lines = [f"{photos}{before}, {crops}, {seconds:.1f} s{pace}: {out}"]
    if counts["without_face"]:
        lines.append(f"without a face: {counts['without_face']:,}, listed in {out / 'without_face.txt'}")
    if counts["unreadable"]:
        lines.append(f"unreadable: {counts['unreadable']:,}, listed in {out / 'unreadable.txt'}")
    if counts["gone"]:
        lines.append(
            f"crops of photos that are gone or were replaced: {counts['gone']:,}, moved to {out / '.gone'}, listed in "
            f"{out / 'gone.txt'}"
        )
    if page is not None:
        lines.append(f"look at {page}: the crops that fit worst come first")
    return "\n".join(lines)
