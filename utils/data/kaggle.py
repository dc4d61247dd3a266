"""Fetch a Kaggle competition's images and tables into a dataset folder, or take them from a download made by hand."""

import importlib
import lzma
import os
import re
import shutil
import tempfile
import uuid
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from tqdm import tqdm

from config import DownloadDataConfig
from utils.data.listing import TEST_IMAGES, TRAIN_IMAGES, is_image_name
from utils.errors import InputError
from utils.files import link_or_copy

TABLES = ("train.csv", "test.csv", "sample_submission.csv")


@dataclass(frozen=True)
class DownloadSummary:
    """What was written.

    Attributes:
        dir: the dataset folder.
        images: folder name -> number of images.
        tables: names of the tables.
    """

    dir: Path
    images: dict[str, int]
    tables: list[str]

    def text(self) -> str:
        """Return as text for a terminal what was written."""
        counts = ", ".join(f"{count} images in {name}/" for name, count in self.images.items())
        return f"{self.dir}: {counts}; {', '.join(self.tables)}"


def download(config: DownloadDataConfig) -> DownloadSummary:
    """Fill a dataset folder with a competition's data.

    Args:
        config: folder to write, competition, archive (zip file or folder) that was downloaded by hand.

    Raises:
        InputError: the folder has data already, the archive is none, or Kaggle refuses; says what to do.
    """
    for name in (TRAIN_IMAGES, TEST_IMAGES, *TABLES):
        if (config.dir / name).exists():
            raise InputError(f"{config.dir / name}: exists already; choose another -dir or remove it")
    if config.archive is not None:
        return _take(config.archive, config.dir)
    with tempfile.TemporaryDirectory(prefix="kaggle-") as folder:
        return _take(_fetch(config.competition, Path(folder)), config.dir)


def _fetch(competition: str, folder: Path) -> Path:
    """Download by whichever client is installed; give the folder or zip file."""
    page = f"https://www.kaggle.com/c/{competition}"
    by_hand = f"or download {page}/data by hand and give -archive FILE"
    try:
        client = _client()
    except ImportError:
        raise InputError(f"download: no Kaggle client is installed; run 'pip install kagglehub' {by_hand}") from None
    except (Exception, SystemExit) as error:  # the kaggle package looks for credentials when it is imported
        raise InputError(f"download: {_credentials(error)} {by_hand}") from None
    try:
        return client(competition, folder)
    except (Exception, SystemExit) as error:  # each client has exceptions of its own, which only it can import
        status = _status(error)
        first = str(error).strip().splitlines()[:1]
        if status == 403:
            raise InputError(
                f"download: Kaggle refuses (403) until you accept the rules; open {page}/rules, sign in, "
                "click 'I Understand and Accept' (after its end: 'Late Submission'), then run this again"
            ) from None
        if status == 404:
            raise InputError(
                f"download: Kaggle has no competition {competition!r} (404); correct -competition"
            ) from None
        kind = type(error).__name__  # UnauthenticatedError and CredentialError of kagglehub; kaggle calls exit()
        if status == 401 or isinstance(error, SystemExit) or "nauthenticated" in kind or "redential" in kind:
            raise InputError(f"download: {_credentials(error)} {by_hand}") from None
        if isinstance(error, OSError) and error.errno is not None and error.filename is not None:
            raise  # the disk's fault, not the network's
        reason = first[0] if first else type(error).__name__
        raise InputError(f"download: Kaggle cannot be reached ({reason}); check the network {by_hand}") from None


def _client() -> Callable[[str, Path], Path]:
    """Return a function (competition, folder) -> downloaded folder or zip file.

    Raises:
        ImportError: neither client is installed.
    """
    try:
        hub = importlib.import_module("kagglehub")
    except ImportError:
        api = importlib.import_module("kaggle.api.kaggle_api_extended").KaggleApi()
        return lambda competition, folder: _by_kaggle(api, competition, folder)
    return lambda competition, folder: Path(hub.competition_download(competition))


def _by_kaggle(api: Any, competition: str, folder: Path) -> Path:
    api.authenticate()
    api.competition_download_files(competition, path=str(folder), quiet=False)
    return folder / f"{competition}.zip"


def _credentials(error: BaseException) -> str:
    refused = "Kaggle refuses the credentials (401)" if _status(error) == 401 else "no Kaggle credentials found"
    return (
        f"{refused}; at https://www.kaggle.com/settings click 'Create New Token' and save it as "
        "~/.kaggle/kaggle.json (or set KAGGLE_USERNAME and KAGGLE_KEY),"
    )


def _status(error: BaseException) -> int | None:
    """Find the HTTP status in whatever exception a client raises."""
    for holder in (getattr(error, "response", None), error):
        for name in ("status_code", "status"):
            status = getattr(holder, name, None)
            if isinstance(status, int):
                return int(status)
    match = re.search(r"\b(401|403|404)\b", str(error))
    return int(match[1]) if match else None


def _take(archive: Path, root: Path) -> DownloadSummary:
    """Copy images and tables out of a zip file or a folder."""
    if archive.is_dir():
        names = [path.relative_to(archive).as_posix() for path in archive.rglob("*") if path.is_file()]

        def place(name: str, target: Path) -> None:
            # Tables are edited, some editors write into the file: a second name would change the source too.
            (shutil.copyfile if target.name in TABLES else link_or_copy)(archive / name, target)

        return _write(archive, root, names, place)
    if not archive.exists():
        raise InputError(f"{archive}: no such file or folder; -archive expects Kaggle's zip file or the folder of it")
    try:
        with zipfile.ZipFile(archive) as bundle:

            def extract(name: str, target: Path) -> None:
                with bundle.open(name) as source, open(target, "wb") as copy:
                    shutil.copyfileobj(source, copy, 1 << 20)

            return _write(archive, root, bundle.namelist(), extract)
    except (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError):
        raise InputError(f"{archive}: not a whole zip file; download it again") from None
    except RuntimeError as error:  # what zipfile raises for encrypted files
        raise InputError(f"{archive}: cannot be unpacked ({error}); unpack it by hand and give the folder") from None


def _write(archive: Path, root: Path, names: list[str], copy: Callable[[str, Path], None]) -> DownloadSummary:
    """Copy what belongs to a dataset folder: everything into a temporary folder first, then by renaming."""
    wanted = _wanted(archive, names)
    with _temporary(root) as part:
        for name, target in tqdm(wanted.items(), "writing", disable=None):
            (part / target).parent.mkdir(parents=True, exist_ok=True)
            copy(name, part / target)
        # Tables last: a folder with a table is whole.
        for item in sorted(part.iterdir(), key=lambda path: path.is_file()):
            os.replace(item, root / item.name)
    images = {
        folder: count
        for folder in (TRAIN_IMAGES, TEST_IMAGES)
        if (count := sum(target.startswith(f"{folder}/") for target in wanted.values()))
    }
    return DownloadSummary(root, images, [name for name in TABLES if name in wanted.values()])


def _wanted(archive: Path, names: list[str]) -> dict[str, str]:
    """Choose the files beside the uppermost ``train.csv``: name in the archive -> path in the dataset folder."""
    tables = [PurePosixPath(name) for name in names if PurePosixPath(name).name == "train.csv"]
    if not tables:
        raise InputError(
            f"{archive}: holds no train.csv; -archive expects the competition's zip file or the folder of it"
        )
    top = min(tables, key=lambda path: len(path.parts)).parent
    wanted = {}
    for name in names:
        path = PurePosixPath(name)
        if not path.is_relative_to(top):
            continue
        # At most one folder of a known name and one file: nothing can point outside the dataset folder.
        parts = path.relative_to(top).parts
        is_image = len(parts) == 2 and parts[0] in (TRAIN_IMAGES, TEST_IMAGES) and is_image_name(parts[1])
        if is_image or (len(parts) == 1 and parts[0] in TABLES):
            wanted[name] = "/".join(parts)
    if not any(target.startswith(TRAIN_IMAGES) for target in wanted.values()):
        raise InputError(f"{archive}: holds no images in {TRAIN_IMAGES}/ beside train.csv; download the whole archive")
    return wanted


@contextmanager
def _temporary(root: Path) -> Iterator[Path]:
    part = root / f".download.{uuid.uuid4().hex[:8]}.part"
    part.mkdir(parents=True)
    try:
        yield part
    finally:
        shutil.rmtree(part, ignore_errors=True)
