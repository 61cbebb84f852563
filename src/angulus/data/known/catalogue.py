"""Sets that may be fetched freely, with checksums, and for the others where they are to be had and why not from here.

The checksums are published ones (`checked` says by whom), or of a copy in daily use; none is taken on trust from the
server that the file comes from. Terms are those of the sets: nearly all are for research, and photos of people stay
theirs.
"""

from dataclasses import dataclass
from difflib import get_close_matches

from angulus.errors import DataError


@dataclass(frozen=True, kw_only=True)
class SetFile:
    """One file: where it lies (tried in this order), "sha256:..." or "md5:..." or None, and whether it is unpacked."""

    name: str
    urls: tuple[str, ...]
    checksum: str | None
    unpacked: bool = True


@dataclass(frozen=True, kw_only=True)
class KnownSet:
    """A set that may be fetched. terms: what its owners ask; checked: whose checksums; megabytes: to fetch."""

    name: str
    what: str
    terms: str
    checked: str
    megabytes: int
    files: tuple[SetFile, ...]


_FIGSHARE = "https://ndownloader.figshare.com/files"
_OMNIGLOT = "https://github.com/brendenlake/omniglot/raw/master/python"
_LFW_TERMS = "research use; cite Huang, Ramesh, Berg and Learned-Miller 2007. The home at UMass is often down"
_SKLEARN = "scikit-learn's sklearn.datasets._lfw, which fetches the same mirror"


def _pairs(name: str, number: int, sha256: str) -> SetFile:
    return SetFile(name=name, urls=(f"{_FIGSHARE}/{number}",), checksum=f"sha256:{sha256}", unpacked=False)


_LFW_PAIRS = _pairs("pairs.txt", 5976006, "ea42330c62c92989f9d7c03237ed5d591365e89b3e649747777b70e692dc1592")
_LFW_LISTS = (
    _LFW_PAIRS,
    _pairs("pairsDevTrain.txt", 5976012, "1d454dada7dfeca0e7eab6f65dc4e97a6312d44cf142207be28d688be92aabfa"),
    _pairs("pairsDevTest.txt", 5976009, "7cb06600ea8b2814ac26e946201cdb304296262aad67d046a16a7ec85d0ff87c"),
)


def _lfw(name: str, what: str, number: int, sha256: str, megabytes: int) -> KnownSet:
    archive = SetFile(name=f"{name}.tgz", urls=(f"{_FIGSHARE}/{number}",), checksum=f"sha256:{sha256}")
    return KnownSet(
        name=name, what=what, terms=_LFW_TERMS, checked=_SKLEARN, megabytes=megabytes, files=(archive, _LFW_PAIRS)
    )


_KNOWN = (
    _lfw(
        "lfw",
        "Labeled Faces in the Wild, 13,233 photos of 5,749 people, 250x250 as found, and pairs.txt",
        5976018,
        "055f7d9c632d7370e6fb4afc7468d40f970c34a80d4c6f50ffec63f5a8d536c0",
        180,
    ),
    _lfw(
        "lfw-funneled",
        "the same photos, roughly aligned (funneling), and pairs.txt",
        5976015,
        "b47c8422c8cded889dc5a13418c4bc2abbda121092b3533a83306f90d900100a",
        243,
    ),
    KnownSet(
        name="lfw-pairs",
        what="the pair lists of LFW alone: View 2 in ten folds, and View 1",
        terms=_LFW_TERMS,
        checked=_SKLEARN,
        megabytes=1,
        files=_LFW_LISTS,
    ),
    KnownSet(
        name="omniglot",
        what="Omniglot, 1,623 handwritten characters by 20 drawers, 105x105",
        terms="MIT; cite Lake, Salakhutdinov and Tenenbaum 2015",
        checked="torchvision's datasets.Omniglot (md5)",
        megabytes=15,
        files=(
            SetFile(
                name="images_background.zip",
                urls=(f"{_OMNIGLOT}/images_background.zip",),
                checksum="md5:68d2efa1b9178cc56df9314c21c6e718",
            ),
            SetFile(
                name="images_evaluation.zip",
                urls=(f"{_OMNIGLOT}/images_evaluation.zip",),
                checksum="md5:6b91aef0f799c5bb55b94e3f2daec811",
            ),
        ),
    ),
    KnownSet(
        name="omniglot-small",
        what="Omniglot's two small background sets, which the recipes use, as zips",
        terms="MIT; cite Lake, Salakhutdinov and Tenenbaum 2015",
        checked="the copies with which the recipes' figures were made",
        megabytes=6,
        files=(
            SetFile(
                name="images_background_small1.zip",
                urls=(f"{_OMNIGLOT}/images_background_small1.zip",),
                checksum="sha256:f38eb80f801274ac2b4dff5b24289016bfaba4a7d5bb50deebf27104ad6cb8a4",
                unpacked=False,
            ),
            SetFile(
                name="images_background_small2.zip",
                urls=(f"{_OMNIGLOT}/images_background_small2.zip",),
                checksum="sha256:3ccaa407515a8778e5d0861875af38b17e418f301ad5bb3b5a6b65d901a41c7f",
                unpacked=False,
            ),
        ),
    ),
    KnownSet(
        name="orl",
        what="AT&T (ORL) faces, 40 people x 10 photos, 92x112 grey",
        terms="research use, with credit to AT&T Laboratories Cambridge",
        checked="Idiap's bob.bio, which fetches the same mirror (md5)",
        megabytes=4,
        files=(
            SetFile(
                name="att_faces.zip",
                urls=(
                    "http://www.idiap.ch/software/bob/data/bob/att_faces.zip",
                    "https://www.cl.cam.ac.uk/research/dtg/attarchive/pub/data/att_faces.zip",
                ),
                checksum="md5:6efb25cb0d40755e9492b9c012e3348d",
            ),
        ),
    ),
    KnownSet(
        name="cub",
        what="Caltech-UCSD Birds 200-2011, 11,788 photos of 200 species, for retrieval",
        terms="non-commercial research and education; cite Wah, Branson, Welinder, Perona and Belongie 2011",
        checked="the md5 that CaltechDATA lists",
        megabytes=1150,
        files=(
            SetFile(
                name="CUB_200_2011.tgz",
                urls=("https://data.caltech.edu/records/65de6-vp158/files/CUB_200_2011.tgz?download=1",),
                checksum="md5:97eceeb196236b17998738112f37df78",
            ),
        ),
    ),
)
SETS = {known.name: known for known in _KNOWN}

_SIGN = "its terms must be accepted by you"
ELSEWHERE = {
    "voxceleb": f"VoxCeleb: {_SIGN}; ask for it with the form at mm.kaist.ac.kr/datasets/voxceleb",
    "ijb": f"IJB-A, IJB-B and IJB-C: {_SIGN}; ask NIST at nist.gov/programs-projects/face-challenges",
    "ms1m": "MS-Celeb-1M: Microsoft withdrew it in 2019; insightface lists cleaned versions (MS1MV2, MS1MV3) as .rec "
    "under recognition/_datasets_, for research only",
    "glint360k": f"Glint360K: {_SIGN} (research only); insightface lists it under recognition/_datasets_ as .rec",
    "webface": f"CASIA-WebFace: {_SIGN}, and its home at CBSR is gone; insightface lists it as .rec",
    "webface260m": f"WebFace260M (4M, 12M, 42M): {_SIGN}; sign the form at face-benchmark.org",
    "vggface2": "VGGFace2: its site was taken down; the authors no longer hand it out",
    "megaface": "MegaFace: it was withdrawn in 2020 and is no longer handed out",
    "agedb": f"AgeDB: {_SIGN}; ask its authors at Imperial College (ibug.doc.ic.ac.uk), or take insightface's "
    "agedb_30.bin",
    "cfp": f"CFP: {_SIGN}; ask at cfpw.io, or take insightface's cfp_fp.bin",
    "market1501": f"Market-1501: {_SIGN}; its authors' page is zheng-lab.cecs.anu.edu.au/Project/project_reid.html",
    "msmt17": f"MSMT17: {_SIGN}; ask at pkuvmc.com",
    "dukemtmc": "DukeMTMC: Duke University ended its distribution in 2019",
}
_ALSO = {
    "ms1mv2": "ms1m", "ms1mv3": "ms1m", "ms-celeb-1m": "ms1m", "casia": "webface", "casia-webface": "webface",
    "ijba": "ijb", "ijbb": "ijb", "ijbc": "ijb", "ijb-a": "ijb", "ijb-b": "ijb", "ijb-c": "ijb", "att": "orl",
    "voxceleb1": "voxceleb", "voxceleb2": "voxceleb", "market": "market1501", "cub200": "cub",
    "webface42m": "webface260m", "webface12m": "webface260m", "webface4m": "webface260m",
    "cfp-fp": "cfp", "agedb-30": "agedb",
}  # fmt: skip


def known_set(name: str) -> KnownSet:
    """The set of a name. Raises DataError for one that is to be had elsewhere, saying where, and for unknown names."""
    plain = name.strip().lower().replace("_", "-")
    plain = _ALSO.get(plain, plain)
    if plain in SETS:
        return SETS[plain]
    if plain in ELSEWHERE:
        raise DataError(f"{ELSEWHERE[plain]}. It cannot be fetched from here")
    close = get_close_matches(plain, [*SETS, *ELSEWHERE, *_ALSO], 1)
    hint = f"did you mean {close[0]}? " if close else ""
    raise DataError(f"no known set is called {name!r}; {hint}Those that can be fetched: {', '.join(SETS)}")
