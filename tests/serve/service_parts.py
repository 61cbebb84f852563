"""A service in process for tests: a small bundle, drawn faces as crops, keys of every role."""

import io
import math

import numpy as np
from faces_drawn import face
from PIL import Image
from small_bundles import DIM, SIDE, matrix, rate_curve, vectors_of, write_bundle
from starlette.testclient import TestClient

from angulus.runtime import Recognizer
from angulus.runtime.curves import Curves, Histogram, RateCurve, SearchCurves, Searches
from angulus.serve.records.keys import ROLES, KeyRing, add_key
from angulus.serve.records.ledger import Ledger
from angulus.serve.service import Service
from angulus.serve.settings import Settings
from angulus.serve.web.app import create_app

SCORES = ((0.05, 0.09), (0.62, 0.12))
"""Mean and width of made-up scores of two people, and of one."""


def crop(person, photo=0):
    """Bytes of an aligned crop of a made-up person."""
    return encoded(face(person, photo, side=SIDE))


def encoded(pixels, kind="PNG"):
    file = io.BytesIO()
    Image.fromarray(np.asarray(pixels, np.uint8)).save(file, kind)
    return file.getvalue()


class Served:
    """The service, its application, and a client for each role."""

    def __init__(self, folder, *, settings=None, recognizer=None, bundle=None, gallery=None, records=None):
        self.folder = folder
        path = bundle or write_bundle(folder / "bundle")
        self.keys = {role: add_key(folder / "keys.json", f"a-{role}", role) for role in ROLES}
        self.recognizer = recognizer or Recognizer(path)
        self.ledger = Ledger(folder / "state", self.recognizer.bundle.artefact.name, **(records or {}))
        self.service = Service(self.recognizer, self.ledger, settings or Settings(workers=2), gallery=gallery)
        self.app = create_app(self.service, KeyRing(folder / "keys.json"))
        self.client = TestClient(self.app, raise_server_exceptions=False)

    def ask(self, method, path, *, role="read", **given):
        headers = {} if role is None else {"authorization": f"Bearer {self.keys[role]}"}
        return self.client.request(method, path, headers={**headers, **given.pop("headers", {})}, **given)

    def verify(self, left, right, *, role="read", **words):
        files = {"left": ("a.png", left), "right": ("b.png", right)}
        return self.ask("POST", "/v1/verify", role=role, files=files, data={"crops": "true", **words})


def sentence_of(response):
    return response.json()["error"]["message"]


def fine_curves(artefact):
    """Error rates of made-up normal scores at many thresholds, as a real calibration has them."""
    grid = np.linspace(-0.2, 0.9, 111)
    tail = np.array(
        [[0.5 * math.erfc((value - mean) / wide / math.sqrt(2)) for value in grid] for mean, wide in SCORES]
    )
    far, frr = np.maximum(tail[0], 0), 1 - tail[1]
    far = np.where(far < 2e-6, 0, far)
    sizes = (1, 10, 100, 1000)

    def line(estimates, least):
        made = rate_curve(estimates)
        return RateCurve(values=np.maximum(made.values, np.array([[0.0], [0.0], [least]])))

    searches = Searches(
        curves=tuple(
            SearchCurves(
                **{"photos": photos, "people": 1500, "probes": 5000, "sizes": sizes, "thresholds": grid},
                fpir=tuple(line(np.minimum(1 - (1 - far) ** (size * photos**0.5), 0.999), 6e-4) for size in sizes),
            )
            for photos in (1, 2)
        )
    )
    edges = np.linspace(-0.4, 1, 71)
    middles = (edges[1:] + edges[:-1]) / 2
    counts = [np.exp(-(((middles - mean) / wide) ** 2) / 2) for mean, wide in SCORES]
    strangers, genuine = (
        (row / row.sum() * many).astype(int) for row, many in zip(counts, (500_000, 12_000), strict=True)
    )
    return Curves(
        **{"artefact": artefact, "level": 0.95, "people": 1500, "photos": 5000, "genuine": 12_000},
        **{"strangers": 500_000, "thresholds": grid, "far": line(far, 6e-6), "frr": line(np.minimum(frr, 0.99), 2e-4)},
        **{"histogram": Histogram(edges=edges, genuine=genuine, strangers=strangers), "searches": searches},
    )


def write_people(folder, count):
    """Crops of made-up people who do not look alike to the small network, two each, a folder for each."""
    chosen = np.empty((0, DIM))
    for person in range(1000):
        vectors = vectors_of(np.stack([face(person, photo, side=SIDE) for photo in range(2)]), matrix())
        if len(chosen) < 2 * count and (chosen @ vectors.T < 0.2).all():
            chosen = np.concatenate([chosen, vectors])
            place = folder / f"p{len(chosen) // 2}"
            place.mkdir(parents=True)
            for photo in range(2):
                (place / f"{photo}.png").write_bytes(crop(person, photo))
    return folder
