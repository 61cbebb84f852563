"""`angulus export`: a trained model in, a bundle for deployment out, with the proof that it is the same model."""

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from angulus.cli.numbers import Positive, Rate, Share, Weight
from angulus.cli.options import Edits, Figures, Fitting, Said, Usual, check_output, check_outside
from angulus.cli.terminal import image_progress


def export(
    model: Path,
    out: Path,
    /,
    *,
    to: Literal["onnx", "openvino", "coreml", "torch"] = "onnx",
    precision: Literal["float32", "float16", "int8"] = "float32",
    preprocessing: Literal["inside", "beside"] = "inside",
    mirror: Annotated[bool, Parameter(negative="--no-mirror")] = False,
    images: Path | None = None,
    quantize_on: Path | None = None,
    far: Annotated[float | None, Rate] = None,
    tolerance: Annotated[float | None, Weight] = None,
    detector: Literal["auto", "mtcnn", "yuface", "scrfd", "retinaface", "yunet", "none"] = "auto",
    file: Path | None = None,
    min_face: Annotated[float, Positive] = 40.0,
    score: Annotated[float | None, Share] = None,
    turn: Annotated[float, Share] = 0.0,
    network: str | None = None,
    edits: Edits = Usual.edits,
    fitting: Fitting = Usual.fitting,
    said: Said = Usual.said,
    figures: Figures = Usual.figures,
) -> None:
    """Make a bundle for deployment of a model: its file, its threshold, and the proof that it is the same.

    A bundle for speech takes recordings: the filter bank is inside its file (onnx, openvino or torch).
    The file is compared with the model on your images; beyond the tolerance nothing is written. With images of people
    that the model has not seen the threshold of this very file is calibrated: angulus verify and angulus serve need it.

    Parameters
    ----------
    model
        The folder of a run or of a model, or foreign weights (.ckpt, .pt, .pth).
    out
        The bundle to write: a folder, or one file where the name ends in .zip.
    to
        For which runtime. onnx: onnxruntime, and many others. openvino: faster on most processors. coreml: Apple's,
        which runs there alone, so that nothing is proved here. torch: as it is.
    precision
        Of weights and arithmetic. int8 needs --quantize-on.
    preprocessing
        inside: the file takes aligned crops as they are, uint8 [n, height, width, 3], RGB. beside: it takes prepared
        images, float32 [n, channels, height, width], and bundle.json says how. Speech is always inside: the file takes
        waveforms, float32 [n, samples] on the scale of 16-bit integers, or stored features [n, frames, bands].
    mirror
        A vector is of the image and of its mirror image: twice the time, a little more accurate.
    images
        Aligned crops, or recordings, to compare on and to calibrate the threshold with: a folder with one sub-folder
        for each person, people that the model was not trained on.
    quantize_on
        For int8, aligned crops of other people than in --images, on which the ranges of numbers are measured.
    far
        The false accept rate that the threshold is calibrated for; left out, the smallest of 1e-4, 1e-3 and 1e-2 that
        the images resolve.
    tolerance
        The largest distance (1 - cosine) of a vector to the model's own that is let pass; left out, 1e-5 for float32,
        1e-3 for float16, 0.05 for int8.
    detector
        What finds faces on photos. auto: mtcnn where it is installed, else yuface, else none. scrfd, retinaface, yunet:
        an ONNX file of yours. none: the bundle takes aligned crops alone.
    file
        The ONNX file of the detector, which is copied.
    min_face
        The smallest face to look for, in pixels of the photo (mtcnn).
    score
        The least score of a face, 0 to 1; left out, the detector's own.
    turn
        Look again at the photo turned by 90, 180 and 270 degrees when the best score is below this.
    network
        What foreign weights are of, or "module:Class" of your own network.
    """
    check_output(figures.json)
    check_outside(out, images, quantize_on, model)
    from angulus.cli.inputs.models_and_images import open_images, open_model
    from angulus.cli.inputs.words.known_people import note_on_source
    from angulus.cli.printing.export_account import told
    from angulus.export import ExportOptions, export_model
    from angulus.export.bundle_files import check_free
    from angulus.faces import DetectorChoice

    options = ExportOptions(
        **{"to": to, "precision": precision, "preprocessing": preprocessing, "mirror": mirror},
        **{"far": far, "tolerance": tolerance},
    )
    check_free(out)
    choice = None
    if detector != "none":
        choice = DetectorChoice(name=detector, file=file, min_face=min_face, score=score, turn=turn)
    opened = open_model(model, network=network)
    with image_progress(quiet=said.quiet, doing="comparing") as progress:
        spec, fit = opened.model.input, opened.fitting(fitting.fit)
        given = None if images is None else open_images(images, spec, fit=fit, edits=edits)
        others = None if quantize_on is None else open_images(quantize_on, spec, fit=fit)
        done = export_model(
            *(opened.model, out, options),
            images=given,
            quantize_on=others,
            detector=choice,
            config=opened.config,
            facts={"file": opened.path.name},
            note="" if given is None else note_on_source(model, given),
            progress=progress,
        )
    print("\n".join(told(done)))
    figures.save(done.to_dict())
