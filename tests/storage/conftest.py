"""One S3 server for all tests of a session; a bucket and a cache of its own for each."""

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from angulus_store import Store
from s3_server import Server, serving

from angulus.storage import faults


@pytest.fixture(scope="session")
def s3_server() -> Iterator[Server]:
    with pytest.MonkeyPatch.context() as patch, serving() as server:
        for name, value in {
            "AWS_ACCESS_KEY_ID": "anybody",
            "AWS_SECRET_ACCESS_KEY": "anything",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_MAX_ATTEMPTS": "1",  # of the client: what is tried again here is what is tested
            "AWS_ENDPOINT_URL": server.address,
        }.items():
            patch.setenv(name, value)
        yield server


@pytest.fixture
def store(s3_server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    import fsspec

    monkeypatch.setenv("ANGULUS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(faults, "PAUSES", (0.01, 0.01, 0.01))
    files = fsspec.filesystem("s3", use_listings_cache=False)
    bucket = f"bucket-{uuid.uuid4().hex[:12]}"
    files.mkdir(bucket)
    yield Store(f"s3://{bucket}", files, s3_server)
    s3_server.gate.faults.clear()
    s3_server.gate.requests.clear()
