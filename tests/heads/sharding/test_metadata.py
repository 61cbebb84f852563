"""The index of a checkpoint of a stranger runs nothing and reads nothing from elsewhere."""

import pickle
from pathlib import Path

import pytest
import torch
from torch.distributed.checkpoint import FileSystemReader
from torch.distributed.checkpoint.metadata import BytesStorageMetadata, Metadata

from angulus.errors import CheckpointError
from angulus.heads import MarginHead
from angulus.heads.sharding.resharding import load_sharded, read_tensors, save_sharded
from angulus.margins import ArcFace


class Touch:
    """A pickle of this calls Path.touch when it is read."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


@pytest.fixture
def head() -> MarginHead:
    return MarginHead(8, 10, ArcFace())


@pytest.fixture
def saved(tmp_path: Path, head: MarginHead) -> Path:
    optimizer = torch.optim.AdamW(head.parameters())
    head(torch.randn(4, 8), torch.arange(4)).loss.backward()
    optimizer.step()
    save_sharded(head, tmp_path / "head", optimizer)
    return tmp_path / "head"


def index_of(folder: Path) -> Metadata:
    return FileSystemReader(folder).read_metadata()


def write_index(folder: Path, content: object) -> None:
    (folder / ".metadata").write_bytes(pickle.dumps(content))


def refused(head: MarginHead, folder: Path, words: str) -> None:
    for read in (lambda: load_sharded(head, folder), lambda: read_tensors(folder, ("weight",))):
        with pytest.raises(CheckpointError, match=words):
            read()


def test_what_was_saved_is_read(saved: Path, head: MarginHead) -> None:
    other = MarginHead(8, 10, ArcFace())
    load_sharded(other, saved, torch.optim.AdamW(other.parameters()))
    assert torch.equal(other.weight, head.weight)
    assert torch.equal(read_tensors(saved, ("weight",))["weight"], head.weight)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_pickle_that_would_touch_a_file(saved: Path, head: MarginHead, tmp_path: Path, protocol: int) -> None:
    mark = tmp_path / "touched"
    (saved / ".metadata").write_bytes(pickle.dumps(Touch(mark), protocol=protocol))
    refused(head, saved, "asks for ")
    assert not mark.exists()


def test_a_pickle_inside_a_good_index(saved: Path, head: MarginHead, tmp_path: Path) -> None:
    mark, index = tmp_path / "touched", index_of(saved)
    index.planner_data = Touch(mark)
    write_index(saved, index)
    refused(head, saved, "asks for ")
    assert not mark.exists()


def test_an_entry_that_would_be_unpickled_on_loading(saved: Path, head: MarginHead, tmp_path: Path) -> None:
    index, mark = index_of(saved), tmp_path / "touched"
    index.state_dict_metadata["step"] = BytesStorageMetadata()
    write_index(saved, index)
    refused(head, saved, "BytesStorageMetadata")
    assert not mark.exists()


@pytest.mark.parametrize("place", ["../elsewhere", "/etc/passwd", "missing", ""])
def test_a_file_elsewhere(saved: Path, head: MarginHead, place: str) -> None:
    (saved.parent / "elsewhere").write_bytes(b"x")
    index = index_of(saved)
    next(iter((index.storage_data or {}).values())).relative_path = place
    write_index(saved, index)
    refused(head, saved, "must lie in head")


def test_tensors_larger_than_the_files(saved: Path, head: MarginHead) -> None:
    index = index_of(saved)
    entry = index.state_dict_metadata["weight"]
    entry.size = torch.Size((10**12, 8))  # type: ignore[union-attr]
    write_index(saved, index)
    refused(head, saved, "but its files hold")


@pytest.mark.parametrize("content", [b"", b"\x80", b"not a pickle", pickle.dumps([1, 2]), pickle.dumps(None)])
def test_an_index_that_is_none(saved: Path, head: MarginHead, content: bytes) -> None:
    (saved / ".metadata").write_bytes(content)
    refused(head, saved, "not a readable checkpoint")
