"""`angulus align`: a folder of photos in, a folder of aligned crops, a manifest and a contact sheet out."""

from pathlib import Path
from typing import Annotated, Literal

from angulus.cli.numbers import Count, Positive, Share
from angulus.cli.options import Figures, Flag, Said, Usual, check_output, check_outside, device_named
from angulus.cli.terminal import image_progress


def align(
    photos: Path,
    out: Path,
    /,
    *,
    detector: Literal["auto", "mtcnn", "yuface", "scrfd", "retinaface", "yunet", "landmarks"] = "auto",
    file: Path | None = None,
    template: Literal["arcface", "sphereface"] = "arcface",
    height: Annotated[int | None, Count] = None,
    choose: Literal["prominent", "largest", "central", "surest", "all"] = "prominent",
    format: Literal["jpg", "png"] = "jpg",
    min_face: Annotated[float, Positive] = 40.0,
    score: Annotated[float | None, Share] = None,
    turn: Annotated[float, Share] = 0.0,
    jobs: Annotated[int | None, Count] = None,
    sheet: Path | None = None,
    sheet_crops: Annotated[int, Count] = 600,
    no_sheet: Annotated[bool, Flag] = False,
    device: str = "cpu",
    said: Said = Usual.said,
    figures: Figures = Usual.figures,
) -> None:
    """Find the faces on photos and cut them out, eyes, nose and mouth at the same places in every crop.

    OUT gets the crops in the folders and under the names of the photos, manifest.csv (where each crop comes from, box,
    landmarks, score, which face was taken and why), and lists of photos without a face, of unreadable files and of
    files that are no photos. Of an animation the first frame is taken; HEIC needs pillow-heif. Given again, the command
    goes on where it was.

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
        Processes, each with one thread; left out, one for each core that may be used (one on a GPU).
    sheet
        The contact sheet, PNG; left out, OUT_contact.png beside OUT. A page of the same name, .html, shows every crop
        with its name and its score.
    sheet_crops
        How many crops it shows; those whose landmarks fit the template worst come first.
    no_sheet
        Make no contact sheet.
    device
        auto, cpu, cuda or cuda:N, for mtcnn.
    figures.json
        Write what was done to this file.
    """
    page = None if no_sheet else sheet or out.with_name(f"{out.name}_contact.png")
    check_outside(out, photos)
    check_outside(page, photos)
    check_output(figures.json, page, None if page is None else page.with_suffix(".html"))
    from angulus.cli.printing.alignment_account import save_page, save_sheet, told
    from angulus.faces import AlignOptions, DetectorChoice, align_folder, template_named

    place = device_named(device)
    found = DetectorChoice(name=detector, file=file, min_face=min_face, score=score, turn=turn, device=place)
    options = AlignOptions(template=template_named(template, height), choose=choose, kind=format, detector=found)
    try:
        with image_progress(quiet=said.quiet, doing="aligning") as progress:
            done = align_folder(photos, out, options, jobs=jobs, progress=progress)
    except KeyboardInterrupt:
        raise KeyboardInterrupt("finished photos are kept, give the same command again to go on") from None
    crops = [out / crop.path for crop in done.worst_first()[:sheet_crops]]
    if page is not None and crops:
        save_sheet(page, crops)
        save_page(page.with_suffix(".html"), out, done)
    counts = done.counts()
    print(told(counts, done.seconds, out, page if crops else None, done.ignored))
    figures.save({"photos_folder": str(photos), "out": str(out), **counts, "seconds": round(done.seconds, 2)})
