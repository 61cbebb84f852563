"""The control groups that this process is in, by which a container is given its share of memory and processors."""

from pathlib import Path


def groups_of(controller: str, root: Path = Path("/")) -> list[str]:
    """Paths of the groups of this process and of those around them, "" the outermost, for one controller."""
    try:
        lines = (root / "proc/self/cgroup").read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return [""]
    fields = [line.split(":", 2) for line in lines if line.count(":") >= 2]
    own = [Path(path) for number, names, path in fields if number == "0" or controller in names.split(",")]
    return ["", *(str(path) for group in own for path in (group, *group.parents) if str(path) != "/")]
