"""A bucket of the server for a test."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from s3_server import Fault, Server


@dataclass
class Store:
    """A bucket, what fsspec makes of it, and the server with its gate."""

    root: str
    files: Any
    server: Server

    def plant(self, kind: str, method: str, path: str, times: int = 1, **more: Any) -> Fault:
        return self.server.plant(kind, method, path, times, **more)

    def put(self, name: str, content: bytes) -> str:
        self.files.pipe_file(f"{self.root}/{name}", content)
        return f"{self.root}/{name}"

    def put_folder(self, folder: Path, name: str) -> str:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                self.put(f"{name}/{path.relative_to(folder).as_posix()}", path.read_bytes())
        return f"{self.root}/{name}"

    def names(self) -> list[str]:
        return sorted(one.partition("/")[2] for one in self.files.find(self.root))

    def uploads(self) -> list[str]:
        """Names of objects of which parts lie in the bucket that nobody has joined."""
        found = self.files.call_s3("list_multipart_uploads", Bucket=self.root.removeprefix("s3://"))
        return [one["Key"] for one in found.get("Uploads", [])]
