"""Converted networks and choices of a backend, kept on disk between runs.

They lie in the user's cache folder under the hash of the weights. A folder that cannot be read or written costs time and
nothing else.
"""

import contextlib
import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from config import PROJECT
from utils.files import write_text
from utils.weights.weights_file import WeightsFile

VERSION = 2  # raise it when a conversion changes what it makes
KEPT = 12  # networks; some 100 MB each
PARTS = 16  # folders of one network, and files of what a library compiled of it: each size of images may have its own
SIZES = 4  # of images that a backend keeps ready at once
ROOM = 2**30  # bytes that have to be free for libraries that end the run when they cannot write
OPENVINO_FILE = "network.xml"
PART = ".part"  # ends the name of what is being written


class Store:
    """What is kept of one network; nothing is made before there is something to keep."""

    def __init__(self, weights: WeightsFile) -> None:
        self.root: Path | None = None
        with contextlib.suppress(OSError, RuntimeError):  # no home folder, no permission
            base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / PROJECT / "networks"
            self.root = base / network_fingerprint(weights)
            if self.root.is_dir():
                os.utime(self.root)  # used now

    def folder(self, name: str) -> Path | None:
        """Return the folder kept under a name, if there is one."""
        if self.root is None or not (self.root / name).is_dir():
            return None
        with contextlib.suppress(OSError):  # kept by somebody else
            os.utime(self.root / name)  # used now
        return self.root / name

    def place(self, name: str) -> Path | None:
        """Return a folder that a library may write to as it likes, if there is room for one."""
        if self.root is None:
            return None
        with contextlib.suppress(OSError):
            self._make()
            (self.root / name).mkdir(exist_ok=True)
            os.utime(self.root / name)  # used now
            _drop_oldest((self.root / name).iterdir(), PARTS)
            if os.access(self.root / name, os.W_OK) and shutil.disk_usage(self.root).free > ROOM:
                return self.root / name
        return None

    def keep(self, name: str, write: Callable[[Path], object]) -> None:
        """Let ``write`` fill a folder and keep that under a name."""
        if self.root is None:
            return
        temporary = self.root / f".{uuid.uuid4().hex[:8]}{PART}"
        try:
            self._make()
            temporary.mkdir()
            write(temporary)
            shutil.rmtree(self.root / name, ignore_errors=True)  # it was damaged
            os.replace(temporary, self.root / name)
            _drop_oldest((part for part in self.root.iterdir() if part.is_dir() and part.suffix != PART), PARTS)
        except (OSError, RuntimeError):  # OpenVINO raises RuntimeError when it cannot write
            pass
        finally:
            shutil.rmtree(temporary, ignore_errors=True)

    def keep_openvino(self, name: str, graph: Any) -> None:
        """Keep an ``openvino.Model`` as ``network.xml`` and ``network.bin``, see ``read_openvino``."""

        def write(folder: Path) -> None:
            import openvino

            openvino.save_model(graph, folder / OPENVINO_FILE, compress_to_fp16=False)

        self.keep(name, write)

    def read_openvino(self, core: Any, name: str) -> Any:
        """Return the ``openvino.Model`` kept under a name; None when there is none, or a damaged one."""
        folder = self.folder(name)
        try:
            return core.read_model(folder / OPENVINO_FILE) if folder else None
        except RuntimeError:  # damaged: made anew
            return None

    def note(self, key: str) -> Any:
        """Return the value noted under a key, or None."""
        return self._notes().get(key)

    def put_note(self, key: str, value: Any) -> None:
        """Note a value, anything that JSON can hold, under a key."""
        if self.root is not None:
            with contextlib.suppress(OSError):
                self._make()
                write_text(self.root / "notes.json", json.dumps({**self._notes(), key: value}, indent=1))

    def _make(self) -> None:
        """Make the folder, and remove those of the networks that were not used for longest."""
        assert self.root is not None
        self.root.mkdir(parents=True, exist_ok=True)
        _drop_oldest(self.root.parent.iterdir(), KEPT)

    def _notes(self) -> dict[str, Any]:
        try:
            assert self.root is not None
            notes = json.loads((self.root / "notes.json").read_text("utf-8"))
            return notes if isinstance(notes, dict) else {}
        except (AssertionError, OSError, ValueError):
            return {}


def _drop_oldest(paths: Iterable[Path], most: int) -> None:
    """Remove those files and folders that were not used for longest, down to a number."""
    for path in sorted(paths, key=lambda path: path.stat().st_mtime, reverse=True)[most:]:
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            with contextlib.suppress(OSError):  # Windows keeps what is in use
                path.unlink()


def network_fingerprint(weights: WeightsFile) -> str:
    """Return a word that changes with the network's layers or weights, and not with thresholds or metrics."""
    described = [VERSION, weights.spec.to_dict(), weights.mean, weights.std]
    digest = hashlib.sha256(json.dumps(described, sort_keys=True).encode())
    for name, tensor in sorted(weights.state_dict.items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]
