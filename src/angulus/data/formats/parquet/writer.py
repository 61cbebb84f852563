"""Writes parquet with the bytes of images or recordings in the layout of Hugging Face: a folder of parts."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from angulus.data.examples import Source, noun_of
from angulus.data.formats.output import Listing
from angulus.data.formats.parquet.reader import import_arrow, open_parquet, opened_file
from angulus.data.formats.record_source import StoredSource
from angulus.errors import DataError
from angulus.whole_files import write_flushed

_ROWS_PER_GROUP = 64


class ParquetWriter:
    """Writes a folder of parts, each as many images as are written at once."""

    def __init__(self, folder: Path, name: str, source: Source) -> None:
        import_arrow()
        self.listing = Listing.of(source)
        self.outputs = [name]
        self._folder = folder / name
        self._folder.mkdir(exist_ok=True)
        for names in (source.keys, source.identities):
            for one in names:
                _check_text(one)
        self._column = "audio" if noun_of(source) == "recording" else "image"
        self._schema = _schema(self._column, source.identities)

    def resume(self, done: int, end: int) -> int:
        kept = 0
        for part in sorted(self._folder.iterdir()):
            rows = _rows(part)
            if rows and kept + rows <= done and part.name == _part_name(kept):
                kept += rows
            else:
                part.unlink()
        return kept

    def write(self, first: int, images: Sequence[bytes]) -> list[int]:
        arrow = import_arrow()
        rows = slice(first, first + len(images))
        stored = [{"bytes": image, "path": key} for image, key in zip(images, self.listing.keys[rows], strict=True)]
        columns = {self._column: stored, "label": self.listing.labels[rows].tolist()}
        table = arrow.table(columns, schema=self._schema)
        sink = arrow.BufferOutputStream()
        arrow.parquet.write_table(
            table,
            sink,
            row_group_size=_ROWS_PER_GROUP,
            compression="none",  # the images are compressed
            use_dictionary=False,
            write_statistics=False,
            write_page_checksum=True,
        )
        partial = self._folder / f"{_part_name(first)}.partial"
        write_flushed(partial, sink.getvalue().to_pybytes())
        partial.replace(self._folder / _part_name(first))
        return [0] * len(images)

    def finish(self, ends: NDArray[np.uint64], checksums: NDArray[np.uint32]) -> None:
        """Nothing is left to write: every part is whole."""

    def opened(self) -> Source:
        return StoredSource(records=open_parquet(self._folder))

    def close(self) -> None:
        pass


def _rows(part: Path) -> int:
    try:
        return opened_file(part).metadata.num_rows if part.suffix == ".parquet" else 0
    except DataError:
        return 0  # not whole: it is written anew


def _part_name(first: int) -> str:
    return f"from-{first:010d}.parquet"


def _check_text(name: str) -> None:
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        raise DataError(f"parquet holds names in UTF-8 alone, got {name!r}; rename it, or convert to packed") from None


def _schema(column: str, identities: Sequence[str]) -> Any:
    arrow = import_arrow()
    image = arrow.struct([("bytes", arrow.binary()), ("path", arrow.string())])
    features: Mapping[str, Any] = {
        column: {"_type": column.capitalize()},
        "label": {"names": list(identities), "_type": "ClassLabel"},
    }
    about = json.dumps({"info": {"features": features}})
    return arrow.schema([(column, image), ("label", arrow.int64())], metadata={"huggingface": about})
