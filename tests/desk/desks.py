"""A desk without a server: its network sees red, see ``tests/web/red.py``."""

import contextlib
import time
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from tests.web.red import Red, make_inspector, pixels, png
from utils.desk.desk import Desk
from utils.desk.services import Services
from utils.desk.sources import Part
from utils.inference.inspected import Inspected, Refused
from utils.inspection.about import About
from utils.inspection.choosing import Inspectors
from utils.inspection.inspector import Inspector


class Bench:
    """A desk, its services, and the network below it."""

    def __init__(self, folder: Path | None, parts: list[Part], further: Sequence[str] = (), **settings: Any) -> None:
        self.red = Red()
        self.inspector: Inspector = make_inspector(self.red, **settings)
        self.told: list[Inspected | Refused] = []

        def told(about: About, answer: Inspected | Refused) -> None:
            self.told.append(answer)

        def open_file(path: Path) -> Inspector:
            return make_inspector(Red(), {"name": path.stem, "file": path.name})

        files = {"second": Path("second.pth")}
        self.desk = Desk(Inspectors(self.inspector, files, open_file), folder, parts, 10**6, told, further)
        self.services = Services(self.desk)

    def begin(self, **sent: Any) -> str:
        return str(self.desk.begin(sent)["id"])

    def add(self, visit: str, **images: bytes) -> None:
        for name, data in images.items():
            answer = self.services.adding.add(visit, f"{name}.png", data)
            assert not answer["refused"], answer
        self.wait(visit)

    def wait(self, visit: str, seconds: float = 60) -> dict[str, Any]:
        """Wait until nothing waits; give the visit."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            described = self.desk.describe(self.desk.visit(visit))
            if not described["counts"]["waiting"] + described["counts"]["behind"]:
                return described
            time.sleep(0.01)
        raise AssertionError(described)

    def act(self, visit: str, key: int, kind: str, who: str = "Ann", **content: Any) -> dict[str, Any]:
        """Do one thing to an image; give the review."""
        action = {"id": str(uuid.uuid4()), "kind": kind, **content}
        return self.services.reviewing.review(visit, key, {"who": who, "actions": [action]})


@contextlib.contextmanager
def bench(folder: Path | None = None, parts: list[Part] | None = None, **settings: Any) -> Iterator[Bench]:
    made = Bench(folder, parts or [], **settings)
    made.desk.start()
    try:
        yield made
    finally:
        made.red.go.set()
        made.desk.close()
        made.inspector.close(10)


def strip(
    value: int = 220, size: tuple[int, int] = (40, 60), box: tuple[int, int, int, int] = (30, 10, 20, 10)
) -> bytes:
    """A grey strip with a box of another value: bright above 199, dark below 10."""
    image = pixels(100, size)
    x, y, width, height = box
    image[y : y + height, x : x + width] = value
    return png(image)
