"""Small sets in the layouts of Market-1501 and MSMT17, of one-coloured people, as their authors name and list them."""

from pathlib import Path

import numpy as np
from PIL import Image

COLOURS = {-1: (9, 9, 9), 0: (120, 120, 120), 1: (250, 20, 20), 2: (20, 250, 20), 3: (20, 20, 250), 4: (250, 250, 20)}


def market(folder: Path) -> Path:
    """People 3 and 4 to train on; 1 and 2 as queries, by camera 1, and in the gallery, by both cameras, with junk."""
    for person in (3, 4):
        for camera in (1, 2):
            for frame in range(2):
                picture(folder / "bounding_box_train" / name_of(person, camera, frame), person, camera)
    for person in (1, 2):
        picture(folder / "query" / name_of(person, 1, 0), person, 1)
        for camera in (1, 2):
            picture(folder / "bounding_box_test" / name_of(person, camera, 7), person, camera)
    for person in (-1, 0):
        picture(folder / "bounding_box_test" / name_of(person, 3, 1), person, 3)
    (folder / "bounding_box_test" / "Thumbs.db").write_bytes(b"\0")
    return folder


def name_of(person: int, camera: int, frame: int) -> str:
    number = f"{person:04d}" if person >= 0 else str(person)
    return f"{number}_c{camera}s1_{frame:06d}_00.jpg"


def msmt(folder: Path) -> Path:
    """The same people in lists, those of each half counted from 0, the gallery without junk."""
    lists: dict[str, list[tuple[int, int, int]]] = {
        "train": [(person, camera, 0) for person in (0, 1) for camera in (1, 2)],
        "val": [(person, camera, 1) for person in (0, 1) for camera in (1, 2)],
        "query": [(person, 1, 0) for person in (0, 1)],
        "gallery": [(person, camera, 1) for person in (0, 1) for camera in (1, 2)],
    }
    for name, rows in lists.items():
        half = "train" if name in ("train", "val") else "test"
        lines = []
        for person, camera, number in rows:
            file = f"{person:04d}/{person:04d}_{number:03d}_{camera:02d}_0303morning_0015_{number}.jpg"
            picture(folder / half / file, person + 1, camera)
            lines.append(f"{file} {person}")
        (folder / f"list_{name}.txt").write_text("\n".join(lines) + "\n")
    return folder


def picture(path: Path, person: int, camera: int) -> None:
    """A person's colour, darker with each camera, on a grey of the camera."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.full((32, 16, 3), 40 * camera, np.uint8)
    pixels[4:28, 4:12] = np.array(COLOURS[person]) * (1.1 - 0.1 * camera)
    Image.fromarray(pixels).save(path, quality=95)
