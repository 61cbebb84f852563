"""Files of PyTorch's tensors that would hang, fill the memory or name what is not there are refused in a sentence."""

import io
import pickle
import time
import tracemalloc
import warnings
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from angulus.errors import DamagedCheckpointError, DataError, ModelError
from angulus.heads import MarginHead
from angulus.heads.sharding.metadata import _Part
from angulus.inversion.attack.files import InversionFolder
from angulus.margins import ArcFace
from angulus.models import MODELS, import_weights
from angulus.models.imports import read_foreign
from angulus.models.iresnet import IResNet
from angulus.models.mobilefacenet import MobileFaceNet
from angulus.pickles.tensors import check_tensors, load_tensors
from angulus.training.storage.checkpoint import load_content

CPU = torch.device("cpu")
MOST_SECONDS, MOST_BYTES = 5.0, 2**26


def slow_key(depth: int = 60) -> bytes:
    """A dictionary whose key holds one tuple twice, and so on."""
    code = b"\x80\x02}K\x01"
    for number in range(depth):
        code += b"q" + bytes([number]) + b"h" + bytes([number]) + b"\x86"
    return code + b"K\x01s."


def repeated(depth: int = 60) -> bytes:
    """A list that holds one list twice, and so on; as the architecture of a checkpoint it is compared part by part."""
    code = b"\x80\x02]"
    for number in range(depth):
        code += b"q" + bytes([number]) + b"h" + bytes([number]) + b"\x86"
    return code + b"."


def archive(content: bytes, *, packed: bool = False, data: dict[str, bytes] | None = None) -> bytes:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED if packed else zipfile.ZIP_STORED) as file:
        file.writestr("x/data.pkl", content)
        for name, values in {"version": b"3\n", "byteorder": b"little", **(data or {})}.items():
            file.writestr(f"x/{name}", values)
    return sink.getvalue()


def saved(value: Any, *, old: bool = False) -> bytes:
    sink = io.BytesIO()
    torch.save(value, sink, _use_new_zipfile_serialization=not old)
    return sink.getvalue()


def old_form(content: bytes) -> bytes:
    parts = saved({}, old=True)
    begin = io.BytesIO(parts)
    for _ in range(3):
        pickle.load(begin)
    return parts[: begin.tell()] + content + pickle.dumps([], 2)


def deflated() -> bytes:
    sink = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(saved({"a": torch.zeros(2**22)}))) as file, zipfile.ZipFile(sink, "w") as out:
        for info in file.infolist():
            out.writestr(info.filename, file.read(info), zipfile.ZIP_DEFLATED)
    return sink.getvalue()


def cut_storage() -> bytes:
    """A tensor of which the file holds less than it says."""
    sink = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(saved({"a": torch.zeros(1000)}))) as file, zipfile.ZipFile(sink, "w") as out:
        for info in file.infolist():
            out.writestr(info.filename, file.read(info)[: 100 if "/data/" in info.filename else None])
    return sink.getvalue()


HOSTILE: dict[str, Callable[[], bytes]] = {
    "a slow key": lambda: archive(slow_key()),
    "a slow key in the old form": lambda: old_form(slow_key()),
    "parts repeated": lambda: archive(repeated()),
    "an expanded tensor": lambda: saved({"a": torch.zeros(1).expand(2**40)}),
    "an expanded tensor in the old form": lambda: saved({"a": torch.zeros(1).expand(2**40)}, old=True),
    "a tensor without values": lambda: saved({"a": torch.zeros(2**30, device="meta")}),
    "a sparse tensor": lambda: saved({"a": torch.sparse_coo_tensor([[0]], [1.0], (2**40,))}),
    "a quantised tensor": lambda: saved({"a": torch.quantize_per_tensor(torch.zeros(4), 0.1, 0, torch.qint8)}),
    "many views of one": lambda: saved({f"{n}": view for n, view in enumerate(views_of(torch.zeros(2**18), 2**10))}),
    "members that are compressed": deflated,
    "values that are cut": cut_storage,
    "a set": lambda: archive(b"\x80\x04\x8f(K\x01\x90."),
    "a number beyond all": lambda: archive(b"\x80\x02\x8a\xff" + b"\x7f" * 255 + b"."),
    "two pickles": lambda: archive(b"N.", data={"y/data.pkl": b"N."}),
    "no pickle": lambda: archive(b"")[:0] + saved({})[:40],
    "code": lambda: archive(pickle.dumps(print, 2)),
}


def views_of(tensor: torch.Tensor, count: int) -> list[torch.Tensor]:
    return [tensor.view(-1) for _ in range(count)]


def refused(call: Callable[[], Any], kind: type[Exception] | tuple[type[Exception], ...]) -> None:
    tracemalloc.start()
    begin = time.process_time()
    try:
        with pytest.raises(kind) as found:
            call()
        assert tracemalloc.get_traced_memory()[1] < MOST_BYTES
    finally:
        tracemalloc.stop()
    assert time.process_time() - begin < MOST_SECONDS
    assert "\n" not in str(found.value)


@pytest.fixture(params=HOSTILE)
def hostile(request: pytest.FixtureRequest) -> bytes:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch warns of sparse and of quantised tensors
        return HOSTILE[request.param]()


def test_foreign_weights(hostile: bytes, tmp_path: Path) -> None:
    (tmp_path / "x.pt").write_bytes(hostile)
    refused(lambda: import_weights(tmp_path / "x.pt", "tiny"), ModelError)


def test_a_checkpoint(hostile: bytes, tmp_path: Path) -> None:
    (tmp_path / "step-00000001.pt").write_bytes(hostile)
    refused(lambda: load_content(tmp_path / "step-00000001.pt", CPU), DamagedCheckpointError)


def test_the_state_of_an_inversion(hostile: bytes, tmp_path: Path) -> None:
    folder = InversionFolder(tmp_path / "out", {})
    folder.state_path(0).parent.mkdir(parents=True)
    folder.state_path(0).write_bytes(hostile)
    refused(lambda: folder.restore(0, None), DataError)  # type: ignore[arg-type]


def test_a_part_of_a_file(hostile: bytes) -> None:
    part = _Part(io.BytesIO(b"before" + hostile + b"behind"), 6, len(hostile))
    refused(lambda: check_tensors(part, len(hostile)), (ValueError, pickle.UnpicklingError))


def test_a_part_of_a_divided_head(tmp_path: Path) -> None:
    from angulus.errors import CheckpointError
    from angulus.heads.sharding.resharding import load_sharded, save_sharded

    head = MarginHead(8, 6, ArcFace())
    save_sharded(head, tmp_path / "head")
    load_sharded(head, tmp_path / "head")
    for file in (tmp_path / "head").glob("*.distcp"):
        content = file.read_bytes()
        begin = content.index(b"PK\x03\x04")
        bad = archive(slow_key())
        assert len(bad) < len(content) - begin
        from angulus.checksums import LENGTH, seal

        file.write_bytes(content[:begin] + bad + content[begin + len(bad) : -LENGTH])
        seal(file)
    refused(lambda: load_sharded(head, tmp_path / "head"), CheckpointError)


@pytest.mark.parametrize("old", [False, True])
def test_sound_files_are_read_as_torch_reads_them(tmp_path: Path, old: bool) -> None:
    torch.manual_seed(0)
    shared = torch.randn(4, 4)
    kinds = (torch.float64, torch.float16, torch.bfloat16, torch.int64, torch.uint8, torch.bool, torch.complex64)
    value = {
        "state": OrderedDict(a=shared, b=shared.t(), c=torch.nn.Parameter(shared[1:]), d=torch.zeros(0, 3)),
        "kinds": [torch.ones(3).to(kind) for kind in kinds],
        "plain": (1, 2.5, "text", None, True, b"bytes", [torch.Size([2]), torch.device("cpu"), torch.float32]),
        3: {"number": torch.tensor(4)},
    }
    optimizer = torch.optim.AdamW([torch.nn.Parameter(shared)])
    optimizer.param_groups[0]["params"][0].grad = shared
    optimizer.step()
    value["optimizer"] = optimizer.state_dict()
    (tmp_path / "x.pt").write_bytes(saved(value, old=old))
    assert repr(load_tensors(tmp_path / "x.pt")) == repr(torch.load(tmp_path / "x.pt", weights_only=True))


def test_every_file_of_tensors_is_read_in_one_place() -> None:
    import angulus

    source = Path(angulus.__file__).parent
    users = {path.relative_to(source).as_posix() for path in source.rglob("*.py") if "torch.load(" in path.read_text()}
    assert users == {"pickles/tensors.py"}


# Foreign weights of odd shapes and types


def mobilefacenet() -> dict[str, torch.Tensor]:
    return MobileFaceNet(embedding_dim=8).build().state_dict()


def iresnet() -> dict[str, torch.Tensor]:
    return IResNet(depth=18, embedding_dim=8).build().state_dict()


ODD: dict[str, Any] = {
    "one side": lambda: torch.zeros(7),
    "no side": lambda: torch.tensor(1.0),
    "three sides": lambda: torch.zeros(8, 1, 1),
    "nothing": lambda: torch.zeros(0, 0, 0, 0),
    "a billion rows of nothing": lambda: torch.zeros(2**40, 0, 1, 1),
    "a billion columns of nothing": lambda: torch.zeros(0, 2**40),
    "complex": lambda: torch.zeros(8, 512, 1, 1, dtype=torch.complex64),
    "a vast kernel": lambda: torch.zeros(1, 1, 1, 2**20),
}


@pytest.mark.grid
@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize("name", ["linear7.conv.weight", "linear1.conv.weight", "conv1.conv.weight"])
def test_a_mobilefacenet_of_odd_shapes(tmp_path: Path, odd: str, name: str) -> None:
    state = mobilefacenet()
    assert name in state
    torch.save({**state, name: ODD[odd]()}, tmp_path / "x.pt")
    with pytest.raises(ModelError):
        import_weights(tmp_path / "x.pt")


@pytest.mark.grid
@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize("name", ["fc.weight", "features.running_mean", "layer3.0.conv1.weight"])
def test_an_iresnet_of_odd_shapes(tmp_path: Path, odd: str, name: str) -> None:
    state = iresnet()
    assert name in state
    torch.save({**state, name: ODD[odd]()}, tmp_path / "x.pt")
    with pytest.raises(ModelError):
        import_weights(tmp_path / "x.pt")


@pytest.mark.parametrize("content", [{"a": 1}, [], 5, None, {}, {"model": {"a": "b"}}, {1: torch.zeros(1)}, {"": "x"}])
def test_content_that_is_no_weights(tmp_path: Path, content: Any) -> None:
    torch.save(content, tmp_path / "x.pt")
    with pytest.raises(ModelError):
        import_weights(tmp_path / "x.pt")


def test_foreign_weights_of_a_named_network_take_no_memory_before_they_fit(tmp_path: Path) -> None:
    config = MODELS["tiny"](channels=(8, 8), units=(1, 0), embedding_dim=2**24)
    torch.save({"a": torch.zeros(1)}, tmp_path / "x.pt")
    refused(lambda: import_weights(tmp_path / "x.pt", config), ModelError)
    assert set(read_foreign(tmp_path / "x.pt")) == {"a"}
