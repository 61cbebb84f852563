"""Who is enrolled, and who of them is nearest to a face: people, photos, templates and the engines that store them.

    with Gallery(open_engine("gallery", create=True, dim=512)) as gallery:
        gallery.add("Ann", vectors)
        gallery.search(vectors, k=5)[0]

Needs numpy alone for galleries in folders; keys, PostgreSQL, faiss and Qdrant are extras.
"""

from angulus.gallery.ciphers import read_key
from angulus.gallery.engines import Engine, Hit
from angulus.gallery.enrolment import Duplicate, Enrolment, Found, GalleryInfo, LookAlike
from angulus.gallery.folder.row_scan import ScanPlan
from angulus.gallery.gallery import Gallery, Transform
from angulus.gallery.opening import open_engine
from angulus.gallery.people import EnrolledPhoto, Person, template_of
from angulus.gallery.transforms import KeyedRotation

__all__ = [
    "Duplicate",
    "Engine",
    "EnrolledPhoto",
    "Enrolment",
    "Found",
    "Gallery",
    "GalleryInfo",
    "Hit",
    "KeyedRotation",
    "LookAlike",
    "Person",
    "ScanPlan",
    "Transform",
    "open_engine",
    "read_key",
    "template_of",
]
