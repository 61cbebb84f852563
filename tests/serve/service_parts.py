"""A service in process for tests: a small bundle, drawn faces as crops, keys of every role."""

import io

import numpy as np
from faces_drawn import face
from PIL import Image
from small_bundles import SIDE, write_bundle
from starlette.testclient import TestClient

from angulus.runtime import Recognizer
from angulus.serve.app import create_app
from angulus.serve.records.keys import ROLES, KeyRing, add_key
from angulus.serve.records.ledger import Ledger
from angulus.serve.service import Service
from angulus.serve.settings import Settings


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
