"""How each request is written, and an example of each answer, for the OpenAPI description."""

from typing import Any

from angulus.serve.requests import Form
from angulus.serve.web.operations import Operation

PHOTO_JSON = {"type": "string", "format": "byte", "description": "an image file in base64"}
PHOTO_PART = {"type": "string", "format": "binary", "description": "an image file"}
YES_NO = {"type": "string", "enum": ["true", "false"]}
WORDS: dict[str, dict[str, Any]] = {
    "crops": {**YES_NO, "description": "the images are aligned crops, no face is looked for"},
    "undecided": {
        **YES_NO,
        "description": "answer 'cannot tell' too where other people's threshold would have decided otherwise",
    },
    "checks": {"type": "string", "description": "names of checks with commas between; 412 for one not installed"},
    "most": {"type": "string", "description": "at most so many candidates, 1 to 20"},
    "name": {"type": "string", "description": "of the person, 1 to 200 characters"},
    "add": {**YES_NO, "description": "add the photos to a person who is enrolled"},
    "refuse_lookalikes": {**YES_NO, "description": "409 where another person looks alike"},
    "note": {"type": "string", "description": "kept with the photos"},
    "use": {"type": "string", "enum": ["verify", "search"], "description": "what the threshold is for"},
    "threshold": {"type": "string", "description": "a score, -1 to 1; or a rate"},
    "rate": {"type": "string", "description": "the wanted FAR of verify, or FPIR of search; or a threshold"},
    "by": {"type": "string", "description": "who chooses"},
    "reason": {"type": "string", "description": "why"},
}
GIVEN = {
    **{"crops": "false", "undecided": "false", "name": "Ann Lee", "add": "false", "refuse_lookalikes": "true"},
    **{"use": "search", "rate": "0.01", "by": "B. Officer", "reason": "one false alarm in a hundred is bearable"},
}
NEEDED = ("name", "use", "by", "reason")
BASE64 = "iVBORw0KGgo="
REQUEST, TIME = "5f2c9a1e77b0d3c4", "2026-11-28T10:00:00+00:00"
PERSON, PHOTO_ID, ARTEFACT = "7c" * 16, "3e" * 16, "9f" * 32
FAR = {"estimate": 0.001, "low": 0.0004, "high": 0.002}
FRR = {"estimate": 0.02, "low": 0.01, "high": 0.03}
FPIR = {"estimate": 0.009, "low": 0.004, "high": 0.016}
POINT = {
    **{"threshold": 0.41, "low": 0.38, "high": 0.44, "source": "calibration", "level": 0.95},
    **{"far": FAR, "frr": FRR},
}
SEARCH_POINT = {
    **{"people": 120, "photos": 240, "threshold": 0.52, "wanted_fpir": 0.01, "smallest_fpir": 0.0002, "fpir": FPIR},
}
FACE = {
    **{"number": 1, "found": 1, "reason": "the only face", "remarks": ["the face is blurred (sharpness 9.1)"]},
    **{"box": [60.0, 70.0, 180.0, 210.0], "detector_score": 0.999},
}
PHOTO = {"name": "a.jpg", "height": 250, "width": 250, "face": FACE}
GREATER = "the best score is greater than the threshold"
CHOICE = {
    **{"use": "search", "by": "B. Officer", "reason": "one false alarm in a hundred is bearable", "key": "office"},
    **{"time": TIME, "holds": True, "rate": 0.01},
}
LINE = {"estimate": [0.1, 0.001], "low": [0.08, 0.0004], "high": [0.12, 0.002]}
POINTS = {"choices": [CHOICE], "verify": POINT, "search": SEARCH_POINT}
REMOVED = {"request": REQUEST, "name": "Ann Lee", "photos": 2, "person_removed": True}
ANSWERS: dict[str, Any] = {
    "verify": {
        **{"request": REQUEST, "decision": "same", "reason": "the score is greater than the threshold"},
        **{"point": POINT, "photos": [PHOTO, {**PHOTO, "name": "b.jpg"}], "score": 0.63, "log_likelihood_ratio": 4.6},
    },
    "search": {
        **{"request": REQUEST, "decision": "person", "reason": GREATER, "point": SEARCH_POINT, "photo": PHOTO},
        **{"person": "Ann Lee", "score": 0.71},
        "candidates": [{"name": "Ann Lee", "score": 0.71, "photo": PHOTO_ID, "photo_score": 0.73, "crop": False}],
    },
    "detect": {
        **{"request": REQUEST, "name": "a.jpg", "height": 250, "width": 250},
        "faces": [
            {
                **{"box": [60.0, 70.0, 180.0, 210.0], "detector_score": 0.999},
                "landmarks": [[95.0, 115.0], [145.0, 114.0], [120.0, 145.0], [100.0, 175.0], [142.0, 174.0]],
            }
        ],
    },
    "embed": {"request": REQUEST, "artefact": ARTEFACT, "dim": 3, "photos": [PHOTO], "vectors": [[0.6, 0.0, 0.8]]},
    "enrol": {
        **{"request": REQUEST, "name": "Ann Lee", "person": PERSON, "people": 121, "lowest_score": 0.88},
        "photos": [{"photo": PHOTO, "id": PHOTO_ID, "template_score": 0.88, "same_as": []}],
        "lookalikes": [{"name": "Bea Lee", "score": 0.56, "added": TIME}],
    },
    "people": {"people": [{"name": "Ann Lee", "photos": 2, "added": TIME}], "total": 121, "next": "100"},
    "person": {
        **{"name": "Ann Lee", "person": PERSON, "added": TIME},
        "photos": [{"id": PHOTO_ID, "added": TIME, "crop": False}],
    },
    "remove": REMOVED,
    "remove_photo": {**REMOVED, "photos": 1, "person_removed": False},
    "health": {"status": "ready", "version": "0.3.0"},
    "card": {
        **{"angulus": "0.3.0", "artefact": {"name": ARTEFACT, "kind": "onnx", "precision": "float32", "dim": 512}},
        **{"model": {"source": "runs/x"}, "made": TIME, "checks": []},
        "calibration": {"people": 200, "photos": 800, "genuine_pairs": 1200, "stranger_pairs": 300000, "level": 0.95},
    },
    "calibration": {
        **{"level": 0.95, "thresholds": [0.2, 0.4], "far": LINE, "frr": LINE, "edges": [-1.0, 0.0, 1.0]},
        **{"genuine": [2, 98], "strangers": [950, 50], "calibration_people": 200, "genuine_pairs": 100},
        **{"stranger_pairs": 1000, "smallest_far": 0.001, "people": 120, "photos": 240},
        **{"search_thresholds": [0.2, 0.4], "fpir": LINE, "smallest_fpir": 0.0002},
    },
    "points": POINTS,
    "choose": POINTS,
    "audit": {
        "lines": [
            {
                **{"time": TIME, "request": REQUEST, "key": "office", "operation": "search", "decision": "person"},
                **{"score": 0.71, "threshold": 0.52, "people": [{"name": "Ann Lee", "id": PERSON}]},
            }
        ]
    },
}
REFUSAL = {"error": {"code": "invalid", "message": "photo must be 1 photo, got 0", "request": REQUEST}}
REFUSED = {
    **{400: "the body is cut short", 401: "no key, or an unknown one", 403: "the key's role is too small"},
    **{404: "not there", 408: "sent too slowly", 409: "it conflicts with what is there, or is not calibrated"},
    **{412: "a check is not installed", 413: "too large", 415: "not a form that is taken"},
    **{422: "not usable as it is", 503: "busy: try again after Retry-After", 504: "it took too long"},
}


def request_body(form: Form) -> dict[str, Any]:
    """How a request with photos is written, in both forms."""
    return {
        "required": True,
        "content": {
            "multipart/form-data": {"schema": _schema(form, PHOTO_PART)},
            "application/json": {"schema": _schema(form, PHOTO_JSON), "example": _example(form)},
        },
    }


def parameters(operation: Operation) -> list[dict[str, Any]]:
    """The parts of a path and of what follows the question mark."""
    parts = [part[1:-1] for part in operation.path.split("/") if part.startswith("{")]
    text = {"schema": {"type": "string"}}
    return [
        *({"name": part, "in": "path", "required": True, **text} for part in parts),
        *({"name": name, "in": "query", "description": said, **text} for name, said in operation.query.items()),
    ]


def answered(operation: Operation) -> dict[int | str, dict[str, Any]]:
    """The answers of an operation: its own with an example, and how it may be refused."""
    own: dict[str, Any] = {"content": {"application/json": {"example": ANSWERS.get(operation.name)}}}
    if operation.answer is None:
        own = {"description": "text", "content": {"text/plain": {"schema": {"type": "string"}}}}
    if operation.answer is bytes:
        own = {"description": "a picture", "content": {"image/png": {"schema": {"type": "string"}}}}
    always = () if operation.role is None else (401, 403)
    refused = {
        code: {"description": REFUSED[code], "content": {"application/json": {"example": REFUSAL}}}
        for code in sorted({*operation.refused, *always})
    }
    return {operation.status: own, **refused}


def _schema(form: Form, photo: dict[str, Any]) -> dict[str, Any]:
    photos = {
        name: photo if most == 1 else {"type": "array", "items": photo, "minItems": least}
        for name, (least, most) in form.photos.items()
    }
    needed = [name for name, (least, _) in form.photos.items() if least]
    needed += [word for word in form.words if word in NEEDED]
    properties = {**photos, **{word: WORDS[word] for word in form.words}}
    return {"type": "object", "required": needed, "properties": properties, "additionalProperties": False}


def _example(form: Form) -> dict[str, Any]:
    photos = {name: BASE64 if most == 1 else [BASE64] for name, (_, most) in form.photos.items()}
    return {**photos, **{word: GIVEN[word] for word in form.words if word in GIVEN}}
