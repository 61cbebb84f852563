"""Reads mutated files in a process of its own, with 500 MB and 10 s for each: python mutation_run.py EACH OUT."""

import json
import logging
import resource
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from pathlib import Path
from typing import Any

import torch
from file_mutations import mutated
from mutated_readers import READERS, Reader, digest_of

from angulus.errors import AngulusError

MOST_BYTES, MOST_SECONDS = 500 * 10**6, 10


class Slow(BaseException):
    """A reader took too long; no reader may take it for damage."""


class Said(logging.Handler):
    """Counts warnings."""

    count = 0

    def emit(self, record: logging.LogRecord) -> None:
        self.count += 1


def outcome_of(reader: Reader, folder: Path, sound: str, said: Said) -> tuple[str, str]:
    """same, refused, warned, silent, or a fault: another exception, too slow or too large; and what was said of it."""
    said.count = 0
    signal.setitimer(signal.ITIMER_PROF, MOST_SECONDS)  # of the processor: a busy machine is no fault
    try:
        found = digest_of(reader.read(folder))
    except AngulusError as error:
        return "refused", str(error)
    except Slow:
        return "fault", f"slower than {MOST_SECONDS} s"
    except Exception:
        return "fault", traceback.format_exc(limit=-3)
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
    if found == sound:
        return "same", ""
    return ("warned" if said.count else "silent"), ""


def tried(reader: Reader, each: int, said: Said) -> dict[str, Any]:
    """Counts by outcome for one reader, the faults, and the longest time."""
    counts: Counter[str] = Counter()
    silent: Counter[str] = Counter()
    faults = []
    longest = 0.0
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "set"
        folder.mkdir()
        reader.make(folder)
        file = folder / reader.file
        content = file.read_bytes()
        sound = digest_of(reader.read(folder))
        for number in range(each):
            kind, changed = mutated(content, f"{reader.name} {number}")
            file.unlink()  # a mapped file keeps what was there
            file.write_bytes(changed)
            begin = time.process_time()
            outcome, why = outcome_of(reader, folder, sound, said)
            longest = max(longest, time.process_time() - begin)
            counts[outcome] += 1
            if outcome in ("silent", "warned"):
                silent[kind] += 1
            if outcome == "fault":
                faults.append(f"mutation {number} ({kind}): {why}")
    return {
        "reader": reader.name,
        "bytes": len(content),
        **{name: counts[name] for name in ("same", "refused", "warned", "silent", "fault")},
        "unnoticed": dict(sorted(silent.items())),
        "reason": reader.silent,
        "faults": faults,
        "longest": round(longest, 2),
    }


def main(each: int, out: Path, only: list[str]) -> None:
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    said = Said(logging.WARNING)
    logging.getLogger("angulus").addHandler(said)
    logging.getLogger("angulus").propagate = False

    def slow(number: int, frame: object) -> None:
        raise Slow

    signal.signal(signal.SIGPROF, slow)
    chosen = [reader for reader in READERS if not only or reader.name in only]
    for reader in chosen:  # whatever is imported late is imported before the limit is set
        with tempfile.TemporaryDirectory() as place:
            reader.make(Path(place))
            digest_of(reader.read(Path(place)))
    taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (taken + MOST_BYTES, taken + MOST_BYTES))
    rows = [tried(reader, each, said) for reader in chosen]
    out.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:])
