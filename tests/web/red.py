"""What the tests of the server share: a network that sees red, an application and a server around it, and forms."""

import asyncio
import contextlib
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from typing import Any

import cv2
import numpy as np
import torch

from config import ServeConfig
from utils.decision.decision import Decision
from utils.inference.network import Outputs
from utils.inference.pipeline import InspectionPipeline
from utils.inference.systems.single import SingleNetwork
from utils.inspection.about import About
from utils.inspection.inspector import Inspector
from utils.models.spec import ModelSpec
from utils.web.address import bind
from utils.web.app import Application
from utils.web.metrics import Metrics
from utils.web.server import Server


class Red:
    """Class 1 is where red is bright, class 2 where it is dark; can be held back, and remembers the batches it saw.

    Images all of 13 make it fail, those all of 14 lack memory, and for those all of 15 it has no number.
    """

    name, parallel = "red", 2

    def __init__(self) -> None:
        self.batches: list[tuple[int, ...]] = []
        self.go = threading.Event()
        self.go.set()

    def __call__(self, images: np.ndarray, choose=None) -> Outputs:
        self.go.wait(20)
        self.batches.append(images.shape)
        if (images == 13).all(axis=(1, 2, 3)).any():
            raise RuntimeError("a bug")
        if (images == 14).all(axis=(1, 2, 3)).any():
            raise MemoryError
        red = torch.from_numpy(images[..., 0].astype(np.float32))
        red[(images == 15).all(axis=(1, 2, 3))] = torch.nan
        return Outputs(torch.stack([red - 199.5, 9.5 - red], dim=1), None)


def about(**changes: Any) -> About:
    known = {
        "name": "red",
        "file": "red-12345678.pth",
        "kind": "network",
        "class_names": ("bright", "dark"),
        "decision": Decision((0.5, 0.5), (0, 0), (None, 100_000)),
        "label_names": (),
        "label_thresholds": (),
        "first_class": 1,
        "task": "multilabel",
        "card": None,
        "scores": {"valid": {"mean_dice": 0.9474, "images": 366, "classes": {}}},
        "backend": "red",
    }
    return About(**{**known, **changes})


def make_inspector(red: Red, changes: dict[str, Any] | None = None, **settings: Any) -> Inspector:
    """Make an inspector of that network; ``changes`` are those of ``about``."""
    spec = ModelSpec("unet", "resnet18", "multilabel", ("bright", "dark"), 3)
    pipeline = InspectionPipeline(SingleNetwork(red, spec, None), Decision.uniform(2, 0.5), batch_size=4)
    return Inspector(pipeline, about(**(changes or {})), **settings)


def make_application(red: Red, config: ServeConfig, changes: dict[str, Any] | None = None) -> Application:
    """Make the application that ``Serve.py`` would make, around that network."""
    metrics = Metrics()
    inspector = make_inspector(
        red,
        changes,
        room=config.queue,
        most_pixels=config.max_pixels,
        wait=config.wait_ms / 1e3,
        on_batch=metrics.batches.observe,
    )
    return Application(inspector, config, metrics)


class Running:
    """A server in a thread.

    Attributes:
        application: what it serves.
        port: where.
    """

    def __init__(self, application: Application, patience: float = 20.0, port: int = 0) -> None:
        self.application = application
        self.socket = bind("127.0.0.1", port)
        self.port: int = self.socket.getsockname()[1]
        self.started = threading.Event()
        self.server = Server(application.guard, application.traffic, self.started.set, application.close, patience)
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()
        assert self.started.wait(20)
        application.set_ready()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def _run(self) -> None:
        asyncio.run(self.server.serve(sockets=[self.socket]))

    def stop(self) -> None:
        """Do what SIGTERM does."""
        self.server.should_exit = True

    def send(self, *pieces: bytes, pause: float = 0.0, timeout: float = 20.0) -> tuple[int, dict[str, str], bytes]:
        """Send bytes as they are; give status, headers and body of the answer, and 0 when there is none."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=timeout) as connection:
            for piece in pieces:
                with contextlib.suppress(OSError):  # it may have answered and closed already
                    connection.sendall(piece)
                time.sleep(pause)
            return read_answer(connection)


def read_answer(connection: socket.socket) -> tuple[int, dict[str, str], bytes]:
    """Read one answer of HTTP/1.1."""
    data = b""
    while True:
        try:
            part = connection.recv(65536)
        except ConnectionResetError:
            part = b""
        data += part
        head, found, body = data.partition(b"\r\n\r\n")
        if found:
            lines = head.decode("latin-1").split("\r\n")
            headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines[1:])}
            if not part or len(body) >= int(headers.get("content-length", 1e12)):
                return int(lines[0].split()[1]), headers, body
        elif not part:
            return 0, {}, data


@contextlib.contextmanager
def running(application: Application, red: Red, patience: float = 20.0, port: int = 0) -> Iterator[Running]:
    """Run a server, and end it."""
    server = Running(application, patience, port)
    try:
        yield server
    finally:
        red.go.set()
        server.stop()
        server.thread.join(20)
        application.inspector.close(10)


def pixels(value: int, size: tuple[int, int] = (8, 8)) -> np.ndarray:
    return np.full((*size, 3), value, np.uint8)


def png(array: np.ndarray) -> bytes:
    """Write RGB pixels as a PNG file."""
    return cv2.imencode(".png", array[..., ::-1])[1].tobytes()


def form(files: Sequence[tuple[str, bytes]], field: str = "images", boundary: str = "xyz") -> bytes:
    """Make the body of a form."""
    parts = [
        f'--{boundary}\r\nContent-Disposition: form-data; name="{field}"; filename="{name}"\r\n\r\n'.encode() + data
        for name, data in files
    ]
    return b"\r\n".join([*parts, f"--{boundary}--\r\n".encode()])


def post(body: bytes, *headers: str, path: str = "/api/v1/inspect", length: int | None = None) -> bytes:
    """Make the bytes of a request with a form."""
    lines = [
        f"POST {path} HTTP/1.1",
        *([] if any(header.lower().startswith("host:") for header in headers) else ["Host: 127.0.0.1"]),
        "Content-Type: multipart/form-data; boundary=xyz",
        f"Content-Length: {len(body) if length is None else length}",
        *headers,
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body
