"""Verification sets of insightface: every way they are pickled, and files that would run a command."""

import builtins
import os
import pickle
import struct
from contextlib import suppress
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from real_data import SHARED, needs_shared

from angulus.errors import EvaluationError
from angulus.evaluation.files.verification_bins import consecutive_folds, read_bin, write_bin

IMAGES = [b"\xff\xd8one\x00\n", b"\xff\xd8two", b"\x89PNG three" * 40, b"four\xe9", b"five", b"six"]
SAME = [True, False, True]


def stored(folder, content, protocol=4):
    path = folder / "set.bin"
    path.write_bytes(content if isinstance(content, bytes) else pickle.dumps(content, protocol=protocol))
    return path


def assert_is_the_set(path):
    found = read_bin(path)
    assert list(found.images) == IMAGES
    assert found.pairs.same.tolist() == SAME
    assert (found.pairs.left.tolist(), found.pairs.right.tolist()) == ([0, 2, 4], [1, 3, 5])


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("kind", ["plain", "arrays", "scalars", "array of same", "numbers", "mixed"])
def test_every_protocol(tmp_path, protocol, kind):
    arrays = [np.frombuffer(image, dtype=np.uint8) for image in IMAGES]
    content = {
        "plain": (IMAGES, SAME),
        "arrays": [arrays, SAME],
        "scalars": (IMAGES, [np.bool_(value) for value in SAME]),
        "array of same": (IMAGES, np.array(SAME)),
        "numbers": (tuple(IMAGES), [1, 0, np.int64(1)]),
        "mixed": (IMAGES[:3] + arrays[3:], SAME),
    }[kind]
    assert_is_the_set(stored(tmp_path, content, protocol))


def python_two(images, same):
    """The opcodes that Python 2 wrote at protocol 2: PROTO 2, lists, byte strings, booleans, TUPLE2, STOP."""
    text = b"".join(
        b"U" + bytes([len(image)]) + image if len(image) < 256 else b"T" + struct.pack("<i", len(image)) + image
        for image in images
    )
    truths = b"".join(b"\x88" if value else b"\x89" for value in same)
    return b"\x80\x02]q\x00(" + text + b"e]q\x01(" + truths + b"e\x86q\x02."


def python_two_arrays(images, same):
    """As numpy wrote uint8 arrays under Python 2, protocol 2: _reconstruct, then the state with a byte string."""
    made = b"".join(
        b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
        + b"(K\x01K"
        + bytes([len(image) % 256])
        + b"\x85cnumpy\ndtype\nU\x02u1K\x00K\x01\x87R(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89T"
        + struct.pack("<i", len(image))
        + image
        + b"tb"
        for image in images
    )
    truths = b"".join(
        b"cnumpy.core.multiarray\nscalar\ncnumpy\ndtype\nU\x02b1K\x00K\x01\x87RU\x01"
        + (b"\x01" if v else b"\x00")
        + b"\x86R"
        for v in same
    )
    return b"\x80\x02](" + made + b"e](" + truths + b"e\x86."


def test_files_of_python_two(tmp_path):
    assert_is_the_set(stored(tmp_path, python_two(IMAGES, SAME)))
    short = [image[:200] for image in IMAGES]
    found = read_bin(stored(tmp_path, python_two_arrays(short, SAME)))
    assert (list(found.images), found.pairs.same.tolist()) == (short, SAME)
    as_text = b"((lp0\nS'\\xff\\xd8a'\np1\naS'b'\na(lI01\nat."  # protocol 0: everything in readable characters
    assert read_bin(stored(tmp_path, as_text)).images == (b"\xff\xd8a", b"b")


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.binary(min_size=1), st.binary(min_size=1), st.booleans()), min_size=1, max_size=30))
def test_what_is_written_is_read(tmp_path_factory, pairs):
    images = [image for left, right, _ in pairs for image in (left, right)]
    path = tmp_path_factory.mktemp("bins") / "set.bin"
    found = read_bin(write_bin(path, images, np.array([same for *_, same in pairs])))
    assert (list(found.images), found.pairs.same.tolist()) == (images, [same for *_, same in pairs])
    assert (found.pairs.fold is None) == (len(pairs) < 10)
    with path.open("rb") as file:  # the plain reader of other tools
        assert pickle.load(file) == (images, [same for *_, same in pairs])


@settings(max_examples=50, deadline=None)
@given(st.integers(2, 12), st.integers(0, 100))
def test_folds_are_those_of_k_fold_without_shuffling(folds, more):
    from sklearn.model_selection import KFold

    count = folds + more
    expected = np.empty(count, dtype=int)
    for number, (_, test) in enumerate(KFold(folds).split(np.zeros((count, 1)))):
        expected[test] = number
    np.testing.assert_array_equal(consecutive_folds(count, folds), expected)


class Calls:
    def __init__(self, function, *arguments):
        self.call = (function, arguments)

    def __reduce__(self):
        return self.call


def hostile(canary):
    touch = f"touch {canary}"
    run = f"open({str(canary)!r}, 'w').close()"
    system = Calls(os.system, touch)
    return {
        "at the top": system,
        "as an image": ([*IMAGES[:5], system], SAME),
        "as a truth value": (IMAGES, [True, False, system]),
        "evaluated": ([*IMAGES[:5], Calls(builtins.eval, run)], SAME),
        "executed": Calls(builtins.exec, run),
        "nested": ([[[{"a": (system,)}]]], SAME),
        "in an array of objects": (IMAGES, np.array([True, system, False], dtype=object)),
        "by attribute": Calls(builtins.getattr, os, "system"),
        "by import": Calls(builtins.__import__, "os"),
    }


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("case", list(hostile("x")))
def test_hostile_files_execute_nothing(tmp_path, case, protocol):
    if case == "by attribute":
        content = b"cbuiltins\ngetattr\ncos\nenviron\nS'system'\n\x86R."
    else:
        content = pickle.dumps(hostile(tmp_path / "canary")[case], protocol=protocol)
    with pytest.raises(EvaluationError, match=r"is refused: it asks for .*(system|eval|exec|getattr|__import__)"):
        read_bin(stored(tmp_path, content))
    assert not (tmp_path / "canary").exists()


@pytest.mark.parametrize(
    "content",
    [
        b"cos\nsystem\n(S'touch {}'\ntR.",
        b"(S'touch {}'\nios\nsystem\n.",
        b"(cos\nsystem\nS'touch {}'\no.",
        b"\x80\x04\x8c\x02os\x8c\x06system\x93\x8c\x08touch {}\x85R.",
        b"c__builtin__\neval\n(S'1'\ntR.",
        b"cnumpy\nload\n(S'{}'\ntR.",
        b"cnumpy.core.multiarray\nfromfile\n(S'{}'\ntR.",
        b"cangulus.evaluation.bins\nwrite_bin\n(S'{}'\ntR.",
        b"\x80\x04\x8c\x07_codecs\x8c\x0fencode.__self__\x93.",
        b"\x80\x02\x8c\x03abcQ.",
        b"Pabc\n.",
    ],
)
def test_hand_made_programs_are_refused(tmp_path, content):
    canary = tmp_path / "canary"
    with pytest.raises(EvaluationError, match=r"is refused|not a readable|must hold two lists"):
        read_bin(stored(tmp_path, content.replace(b"{}", str(canary).encode())))
    assert not canary.exists()


@pytest.mark.parametrize(
    "content",
    [
        b"c_codecs\nencode\n(Vab\nVrot13\ntR.",  # a codec may run anything
        b"c__builtin__\nbytes\n(I100000000000\ntR.",  # a hundred gigabytes of zeros
        b"c_codecs\nencode\n}S'name'\nS'os'\nsb.",  # changes what was looked up
        b"\x80\x02cnumpy\nndarray\n)\x81.",  # makes an instance of it without calling
        b"cnumpy\ndtype\n(S'O'\ntR}b.",
        b"cnumpy\nndarray\n.",
        b"]2.",
        b"N.",
        b"]q\x00(h\x00h\x00e.",  # lists that hold themselves
        b"\x80\x02]r\xff\xff\xff\x7f.",  # a memory of two thousand million places
        b"\x80\x04\x8e" + struct.pack("<Q", 10**15) + b"abc.",  # bytes that are not there
    ],
)
def test_allowed_names_used_in_other_ways(tmp_path, content):
    with pytest.raises(
        EvaluationError, match=r"not a readable verification set|must hold two lists|must be|must hold two"
    ):
        read_bin(stored(tmp_path, content))
    assert_is_the_set(stored(tmp_path, (IMAGES, SAME), 2))  # and nothing is left behind


def test_faults(tmp_path):
    cases = [
        ((IMAGES, SAME[:2]), "two images for each of its pairs, got 6 images and 2 pairs"),
        (([], []), "got 0 images and 0 pairs"),
        ((IMAGES, SAME, 1), "must hold two lists, images and same or not, got 3 entries"),
        ({"bins": IMAGES}, "must hold two lists, images and same or not, got dict"),
        ((IMAGES, [True, False, 2]), "pair 2 must be true or false, got int 2"),
        ((IMAGES, [True, False, None]), "pair 2 must be true or false, got NoneType"),
        (([*IMAGES[:5], "text"], SAME), "image 5 must be encoded bytes, got str text"),
        (([*IMAGES[:5], b""], SAME), "image 5 must be encoded bytes, got bytes"),
        (([*IMAGES[:5], np.ones(3)], SAME), "image 5 must be encoded bytes, got a numpy"),
        ((IMAGES, "yes"), "same or not must be a list, got str yes"),
        ((b"images", SAME), "images must be a list, got bytes"),
    ]
    for content, message in cases:
        with pytest.raises(EvaluationError, match=message):
            read_bin(stored(tmp_path, content))
    with pytest.raises(EvaluationError, match="does not exist"):
        read_bin(tmp_path / "none.bin")
    with pytest.raises(EvaluationError, match="folds must be at least 2, got 1"):
        read_bin(stored(tmp_path, (IMAGES, SAME)), folds=1)
    with pytest.raises(EvaluationError, match="got 6 images and int64"):
        write_bin(tmp_path / "set.bin", IMAGES, [1, 0, 1])


@pytest.mark.parametrize("protocol", range(6))
def test_a_file_cut_short_anywhere_is_one_sentence(tmp_path, protocol):
    content = pickle.dumps((IMAGES, SAME), protocol=protocol)
    for length in range(0, len(content) - 1, 7):
        with pytest.raises(EvaluationError, match=r"damaged or cut short|is refused: it asks for _codecs"):
            read_bin(stored(tmp_path, content[:length]))


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 10_000), st.integers(0, 255), st.integers(0, 5))
def test_a_changed_byte_gives_a_set_or_a_sentence(tmp_path_factory, place, value, protocol):
    content = bytearray(pickle.dumps((IMAGES, [np.bool_(v) for v in SAME]), protocol=protocol))
    content[place % len(content)] = value
    path = tmp_path_factory.getbasetemp() / "changed.bin"
    path.write_bytes(bytes(content))
    with suppress(EvaluationError):
        read_bin(path)


@needs_shared
def test_twenty_pairs_of_real_photos_go_round(tmp_path):
    from angulus.data import EncodedSource, decode_image

    people = [sorted(folder.iterdir()) for folder in sorted((SHARED / "lfw112").iterdir())]
    several = [files for files in people if len(files) >= 2][:11]
    pairs = [(files[0], files[1], True) for files in several[:10]]
    pairs += [(one[0], other[0], False) for one, other in pairwise(several)]
    photos = [path for left, right, _ in pairs for path in (left, right)]
    path = write_bin(tmp_path / "lfw20.bin", [photo.read_bytes() for photo in photos], np.array([s for *_, s in pairs]))
    found = read_bin(path)
    assert (len(found.images), found.pairs.same.sum(), found.pairs.fold.tolist()) == (40, 10, sorted([*range(10)] * 2))
    source = EncodedSource.of(found.images)
    for index, photo in enumerate(photos):
        np.testing.assert_array_equal(source.read(index), decode_image(photo))
