"""Where the pixels of training images come from: files decoded again each time, or images decoded once.

Decoding and resizing a strip takes longer than everything else that a loading process does to it. Images decoded once lie as
uint8, at the size that the network sees, in memory that all loading processes share (``ram``) or in a file that they map
(``disk``), and give the same samples bit for bit. The memory goes back to the system when the last process ends, however
it ends. The file stays in ``DIR/.cache`` (see ``utils.data.cache``) for the next training on the same files; a file for
other images of the same size takes its place.
"""

import contextlib
import hashlib
import json
import os
import shutil
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np
import PIL
import torch
from tqdm import tqdm

from utils.data.cache import stamp, writable_folder
from utils.data.checks import thread_count
from utils.data.dataset_folder import Dataset
from utils.data.images import read_size
from utils.data.transforms import resize
from utils.errors import InputError
from utils.files import write_text

VERSION = 1  # raise it when what is stored changes its meaning
LARGEST_SHARE = 0.8  # of the free memory or disk; the rest is for the training itself
ABANDONED = 24 * 3600  # seconds after which nobody is still writing an unfinished file
SHARED_MEMORY = Path("/dev/shm")  # where Linux keeps it, of a size of its own; absent elsewhere

Size = tuple[int, int]


class ImageSource(Protocol):
    """Gives images by name."""

    def read(self, name: str) -> tuple[np.ndarray, Size]:
        """Return an image as ``(H, W, channels)`` uint8, not to be written to, and the file's own (height, width)."""
        ...


@dataclass(frozen=True)
class ImageFiles:
    """Decodes and resizes an image whenever it is asked for.

    Args:
        dataset: the dataset folder.
        channels: 3 or 1.
        image_size: (H, W) in pixels to resize to; none keeps each image's own.
    """

    dataset: Dataset
    channels: int
    image_size: Size | None

    def read(self, name: str) -> tuple[np.ndarray, Size]:
        """Decode an image; see ``ImageSource``."""
        image = self.dataset.read(name, self.channels)
        own = image.shape[0], image.shape[1]
        return (image if self.image_size is None else resize(image, *self.image_size)), own


class DecodedImages:
    """Images decoded once; may be handed to other processes, which then see the same bytes.

    Args:
        sizes: each image's own (height, width), in the order in which they are stored.
        files: what they were decoded with.
        place: the bytes, or the file that holds them.
    """

    def __init__(self, sizes: dict[str, Size], files: ImageFiles, place: torch.Tensor | Path) -> None:
        self.sizes, self.place = sizes, place
        self.shapes = {name: (*(files.image_size or own), files.channels) for name, own in sizes.items()}
        lengths = [height * width * channels for height, width, channels in self.shapes.values()]
        self.starts = dict(zip(sizes, np.cumsum([0, *lengths]).tolist(), strict=False))
        self._bytes: np.ndarray | None = None

    @property
    def size(self) -> int:
        """Bytes of all images together."""
        return sum(height * width * channels for height, width, channels in self.shapes.values())

    def read(self, name: str) -> tuple[np.ndarray, Size]:
        """Return an image without copying it; see ``ImageSource``."""
        pixels = self.open()
        shape, start = self.shapes[name], self.starts[name]
        return pixels[start : start + shape[0] * shape[1] * shape[2]].reshape(shape), self.sizes[name]

    def open(self) -> np.ndarray:
        """Return the bytes of all images; a file is mapped when this process asks for the first time."""
        if self._bytes is None:
            if isinstance(self.place, Path):
                # A plain array over the map: slices of a memmap are slower to make than to read.
                self._bytes = np.asarray(np.memmap(self.place, np.uint8, "r"))
            else:
                self._bytes = self.place.numpy()
            self._bytes.flags.writeable = False  # a change would be there in every later epoch
        return self._bytes

    def __getstate__(self) -> dict[str, Any]:
        # The place alone travels to a process that is started anew; the bytes themselves would travel as a copy.
        return {**self.__dict__, "_bytes": None}


def decode_once(
    where: str, files: ImageFiles, names: Sequence[str], threads: int | None, processes: int = 1, progress: bool = True
) -> DecodedImages:
    """Decode images into memory or into a file, or find the file of an earlier training.

    Args:
        where: ``ram`` or ``disk``.
        files: how images are decoded.
        names: images to decode.
        threads: that decode; none: one a core.
        processes: that do the same on this machine at the same time, each with a memory of its own.
        progress: show a bar when standard error is a terminal.

    Raises:
        InputError: the images do not fit, or one of them cannot be read.
        OSError: the disk fills up nevertheless.
    """
    names = sorted(set(names))
    if where == "disk":
        return _in_file(files, names, threads, progress)
    sizes = {name: read_size(files.dataset.path(name)) for name in names}
    decoded = DecodedImages(sizes, files, torch.empty(0, dtype=torch.uint8))
    free, of_what = _free_memory()
    remedy = "take -cache disk or none, or a smaller -image_size"
    _refuse_unless_fitting("ram", decoded, processes, free, of_what, remedy)
    # A file descriptor without a name: the system takes the memory back when the last process has ended.
    try:
        shared = torch.empty(decoded.size, dtype=torch.uint8).share_memory_()
    except (RuntimeError, OSError) as error:  # limits of the process, as ulimit -f and -v
        reason = " ".join(str(error).split())[:120]
        raise InputError(f"-cache ram: no {decoded.size / 1e6:.1f} MB of shared memory ({reason}); {remedy}") from None
    decoded.place, memory = shared, shared.numpy()

    def store(start: int, image: np.ndarray) -> None:
        memory[start : start + image.size] = image.ravel()

    _decode(decoded, files, store, threads, progress)
    return decoded


def _in_file(files: ImageFiles, names: list[str], threads: int | None, progress: bool) -> DecodedImages:
    folder = _writable(files.dataset.root)
    size = "native" if files.image_size is None else "{}x{}".format(*files.image_size)
    kind = f"decoded-{size}x{files.channels}"
    path = folder / f"{kind}-{_key(files, names)}.bin"
    done = path.with_suffix(".json")  # written last: without it the file is not whole
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        stored = {name: (int(h), int(w)) for name, (h, w) in json.loads(done.read_text("utf-8"))["sizes"].items()}
        decoded = DecodedImages(stored, files, path)
        if list(stored) == names and path.stat().st_size == decoded.size:
            decoded.open()
            return decoded
    sizes = {name: read_size(files.dataset.path(name)) for name in names}
    decoded = DecodedImages(sizes, files, path)
    # What an interrupted training has left of this very file is written over.
    free = shutil.disk_usage(folder).free + (path.stat().st_size if path.exists() else 0)
    _refuse_unless_fitting("disk", decoded, 1, free, f"in {folder}", "free some space, or take -cache none")
    done.unlink(missing_ok=True)
    _remove_others(folder, kind, path)
    # Not a temporary name: what a killed training leaves would lie there for ever. Two trainings that write at the same
    # time write the same bytes.
    try:
        with open(os.open(path, os.O_RDWR | os.O_CREAT, 0o666), "r+b") as file:
            lock = threading.Lock()

            def store(start: int, image: np.ndarray) -> None:
                with lock:
                    file.seek(start)
                    file.write(image.tobytes())

            _decode(decoded, files, store, threads, progress)
            file.truncate(decoded.size)
            file.flush()
            os.fsync(file.fileno())
            decoded.open()  # from now on nobody can take the file away from this training
    except BaseException as error:
        with contextlib.suppress(OSError):
            path.unlink()
        if isinstance(error, OSError):  # a full disk has no name
            error.filename = error.filename or str(path)
        raise
    write_text(done, json.dumps({"sizes": sizes}))
    return decoded


def _decode(
    decoded: DecodedImages,
    files: ImageFiles,
    store: Callable[[int, np.ndarray], None],
    threads: int | None,
    progress: bool,
) -> None:
    """Decode all images in threads and store each at its place."""

    def work(name: str) -> None:
        image, _ = files.read(name)
        store(decoded.starts[name], image)

    with ThreadPoolExecutor(thread_count(threads)) as pool:
        names = list(decoded.sizes)
        for _ in tqdm(pool.map(work, names), "decoding images", len(names), disable=None if progress else True):
            pass


def _key(files: ImageFiles, names: Sequence[str]) -> str:
    """Return a word that changes with every image file and with everything else that the pixels depend on."""
    digest = hashlib.sha256(repr((VERSION, files.image_size, files.channels, files.dataset.depth)).encode())
    digest.update(f"{PIL.__version__} {cv2.__version__}".encode())
    for name in names:
        digest.update(f"{name}\0{stamp(files.dataset.path(name))}\n".encode())
    return digest.hexdigest()[:16]


def _remove_others(folder: Path, kind: str, path: Path) -> None:
    """Remove the files of other sets of images of this kind, and unfinished ones that nobody can be writing any more."""
    for other in folder.glob("decoded-*.bin"):
        done = other.with_suffix(".json")
        with contextlib.suppress(OSError):  # Windows keeps what another process has mapped
            replaced = other.name.startswith(f"{kind}-") and done.exists()
            abandoned = not done.exists() and time.time() - other.stat().st_mtime > ABANDONED
            if other != path and (replaced or abandoned):
                other.unlink()
                done.unlink(missing_ok=True)


def _writable(root: Path) -> Path:
    folder = writable_folder(root)
    if folder is not None:
        return folder
    raise InputError(
        f"-cache disk: no permission to write in {root}/.cache or in your own cache folder; take ram or none"
    )


def _refuse_unless_fitting(
    where: str, decoded: DecodedImages, processes: int, free: int, of_what: str, remedy: str
) -> None:
    needed = decoded.size * processes
    if needed > LARGEST_SHARE * free:
        together = f" for each of {processes} processes" if processes > 1 else ""
        raise InputError(
            f"-cache {where}: {len(decoded.sizes)} decoded images need {decoded.size / 1e9:.2f} GB{together},"
            f" {LARGEST_SHARE * free / 1e9:.2f} GB {of_what} may be taken ({LARGEST_SHARE:.0%} of what is free); {remedy}"
        )


def _free_memory() -> tuple[int, str]:
    """Return the bytes of memory that are free, and what it is that runs out first."""
    import psutil  # type: ignore[import-untyped]

    free = [(int(psutil.virtual_memory().available), "of memory")]
    if SHARED_MEMORY.is_dir():
        free.append((shutil.disk_usage(SHARED_MEMORY).free, f"of shared memory ({SHARED_MEMORY})"))
    group = Path("/sys/fs/cgroup")  # a container's own limit
    with contextlib.suppress(OSError, ValueError, KeyError):
        limit = int((group / "memory.max").read_text())
        lines = (line.split() for line in (group / "memory.stat").read_text().splitlines())
        given_back = int(dict(lines)["inactive_file"])  # type: ignore[arg-type]
        used = int((group / "memory.current").read_text()) - given_back
        free.append((max(limit - used, 0), "of the container's memory"))
    return min(free)
