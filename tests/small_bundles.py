"""Bundles for tests: a network of one matrix in an ONNX file, and made-up error rates."""

import hashlib
import json
import zipfile
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from angulus.runtime.bundles import Artefact, Description
from angulus.runtime.curves import Curves, Histogram, RateCurve, SearchCurves, Searches
from angulus.runtime.preparation import Preprocessing, formula_crops
from angulus.runtime.thresholds import Meaning, Rate, Threshold

SIDE, DIM = 16, 8


def matrix(seed=0, dim=DIM):
    return np.random.default_rng(seed).normal(size=(3 * SIDE * SIDE, dim)).astype(np.float32)


def network(weights, *, inside=True):
    """Crops, or prepared images, to vectors that are not of length 1."""
    constants = [
        numpy_helper.from_array(weights, "weights"),
        numpy_helper.from_array(np.array([-1, len(weights)]), "flat"),
        numpy_helper.from_array(np.array(127.5, np.float32), "middle"),
    ]
    nodes = [
        helper.make_node("Cast", ["images"], ["pixels"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["pixels"], ["turned"], perm=[0, 3, 1, 2]),
        helper.make_node("Sub", ["turned", "middle"], ["centred"]),
        helper.make_node("Div", ["centred", "middle"], ["prepared"]),
    ]
    last = [
        helper.make_node("Reshape", ["prepared" if inside else "images", "flat"], ["rows"]),
        helper.make_node("MatMul", ["rows", "weights"], ["vectors"]),
    ]
    kind, shape = (TensorProto.UINT8, ["n", SIDE, SIDE, 3]) if inside else (TensorProto.FLOAT, ["n", 3, SIDE, SIDE])
    graph = helper.make_graph(
        [*(nodes if inside else ()), *last],
        "small",
        [helper.make_tensor_value_info("images", kind, shape)],
        [helper.make_tensor_value_info("vectors", TensorProto.FLOAT, ["n", weights.shape[1]])],
        constants,
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(made)
    return made.SerializeToString()


def vectors_of(crops, weights):
    """What the network gives, of length 1."""
    prepared = ((crops.astype(np.float64) - 127.5) / 127.5).transpose(0, 3, 1, 2).reshape(len(crops), 3 * SIDE * SIDE)
    found = prepared @ weights
    return found / np.linalg.norm(found, axis=1, keepdims=True)


def threshold(artefact, value=0.5):
    return Threshold(
        **{"artefact": artefact, "value": value, "low": value - 0.05, "high": value + 0.05, "target_far": 1e-3},
        **{"far": Rate(estimate=0.001, low=0.0004, high=0.002), "frr": Rate(estimate=0.05, low=0.03, high=0.08)},
        **{"level": 0.95, "people": 200, "meaning": Meaning(slope=20.0, offset=-8.0), "note": ""},
    )


def rate_curve(estimates):
    rows = np.array(estimates, dtype=np.float64)
    return RateCurve(values=np.stack([rows, rows * 0.5, np.minimum(rows * 2, 1)]))


def curves(artefact):
    """FAR falls tenfold, FRR rises, with every 0.1 of the threshold; FPIR is ten times the FAR for ten people."""
    thresholds = np.linspace(0.2, 0.8, 7)
    far = np.array([0.1, 0.01, 1e-3, 1e-4, 1e-5, 1e-5, 0.0])
    histogram = Histogram(
        edges=np.linspace(-1, 1, 5), genuine=np.array([0, 1, 4, 90]), strangers=np.array([9, 80, 9, 1])
    )
    searches = Searches(
        curves=tuple(
            SearchCurves(
                **{"photos": photos, "people": 100_000, "probes": 100_000, "sizes": (1, 10), "thresholds": thresholds},
                fpir=(rate_curve(far * photos), rate_curve(np.minimum(far * photos * 10, 0.9))),
            )
            for photos in (1, 2)
        )
    )
    return Curves(
        **{"artefact": artefact, "level": 0.95, "people": 200, "photos": 800, "genuine": 1200, "strangers": 300_000},
        **{"thresholds": thresholds, "far": rate_curve(far), "frr": rate_curve(np.linspace(0.01, 0.4, 7))},
        **{"histogram": histogram, "searches": searches},
    )


def write_bundle(
    path,
    *,
    seed=0,
    inside=True,
    calibrated=True,
    detector=None,
    content=None,
    vector=None,
    files=(),
    precision="float32",
    measured=curves,
):
    """A bundle at `path`, a folder or a .zip file; content: of the network, where it is not the right one.

    measured: error rates by the artefact's name.
    """
    weights = matrix(seed)
    model = network(weights, inside=inside) if content is None else content
    preprocessing = Preprocessing(
        **{"height": SIDE, "width": SIDE, "colour": "rgb", "mean": (127.5,) * 3, "std": (127.5,) * 3},
        **{"template": "arcface", "inside": inside},
    )
    artefact = Artefact(
        **{"kind": "onnx", "precision": precision, "files": {"model.onnx": digest(model)}, "dim": DIM, "mirror": False},
        preprocessing=preprocessing,
    )
    wanted = vectors_of(formula_crops(SIDE, SIDE), weights) if vector is None else vector
    parts = {"model.onnx": model, "vector.json": as_json({"vectors": np.asarray(wanted).tolist()}), **dict(files)}
    if calibrated:
        parts["threshold.json"] = as_json(threshold(artefact.name).to_dict())
        parts["calibration.json"] = as_json(measured(artefact.name).to_dict())
    description = Description(
        **{"artefact": artefact, "detector": detector, "model": {"source": "a test"}, "angulus": "0", "made": "today"},
        files={name: digest(part) for name, part in parts.items()},
    )
    parts["bundle.json"] = as_json(description.to_dict())
    return save(Path(path), parts)


def save(path, parts):
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w") as file:
            for name, part in parts.items():
                file.writestr(name, part)
        return path
    for name, part in parts.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(part)
    return path


def digest(content):
    return hashlib.sha256(content).hexdigest()


def as_json(values):
    return json.dumps(values).encode()
