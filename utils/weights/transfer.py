"""One file from an address: ``https://``, ``http://``, ``file://`` or ``hf://USER/REPOSITORY[@REVISION]/FILE``."""

import re
import shutil
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

from utils.weights.http import Moved, TransferError, fetch_from_web, open_part, without_secrets
from utils.weights.index import INDEX

HUB = re.compile(r"hf://(?P<repository>[^/@]+/[^/@]+)(@(?P<revision>[^/]+))?(/(?P<file>.+))?")
HUB_PAGE = re.compile(
    r"https://huggingface\.co/(?P<repository>[^/]+/[^/]+?)/?((tree|blob|resolve)/(?P<revision>[^/]+)/?(?P<file>.+)?)?"
)


def whole_address(word: str) -> str:
    """Turn what a user gives as ``-index`` into an address: a file, a folder, a web address, a Hugging Face page."""
    match = HUB.fullmatch(word) or HUB_PAGE.fullmatch(word)
    if match:
        revision = f"@{match['revision']}" if match["revision"] else ""
        return f"hf://{match['repository']}{revision}/{match['file'] or INDEX}"
    if "://" in word:
        return word
    path = Path(word).expanduser()
    return (path / INDEX if path.is_dir() else path).absolute().as_uri()


def fetch(address: str, part: Path, size: int | None, moved: Moved, again: bool = False) -> None:
    """Bring ``part`` to the content of the file at an address.

    Args:
        address: see the top of this module.
        part: file to write; what an earlier attempt over the web left there is gone on from.
        size: bytes that the file should have; None when unknown.
        moved: called with the bytes that are there.
        again: what was fetched last was damaged; take nothing from a cache.

    Raises:
        TransferError: not to be had from there; the message is part of a line.
        OSError: the disk's fault.
    """
    try:
        scheme = urlsplit(address).scheme
        if scheme in ("http", "https"):
            fetch_from_web(address, part, size, moved)
            return
    except ValueError:  # of a host that cannot be one; not all of them are told by urlsplit
        raise TransferError(f"{without_secrets(address)}: is no address; correct it") from None
    if scheme == "file":
        _copy(local_path(address), part, moved)
    elif HUB.fullmatch(address):
        _copy(_from_hub(address, again), part, moved)
    else:
        raise TransferError(f"{without_secrets(address)}: expected https://, file:// or hf://USER/REPOSITORY")


def local_path(address: str) -> Path:
    """Return the path of a ``file://`` address; a host in it is that of a Windows network share."""
    parts = urlsplit(address)
    host = "" if parts.netloc == "localhost" else parts.netloc
    return Path(url2pathname(f"//{host}{parts.path}" if host else parts.path))


def _copy(source: Path, part: Path, moved: Moved) -> None:
    if not source.is_file():
        raise TransferError(f"{source}: no such file")
    try:
        with open(source, "rb") as original, open_part(part, "wb") as copy:
            shutil.copyfileobj(original, copy, 1 << 20)
    except OSError:
        part.unlink(missing_ok=True)
        raise
    moved(part.stat().st_size)


def _from_hub(address: str, again: bool) -> Path:
    """Fetch a file into the cache of huggingface_hub, which resumes by itself; give its path there."""
    from huggingface_hub import errors, hf_hub_download
    from huggingface_hub.utils import logging

    logging.set_verbosity_error()  # its retries would bury our one line
    match = HUB.fullmatch(address)
    assert match
    repository, file = match["repository"], match["file"]
    try:
        return Path(hf_hub_download(repository, file, revision=match["revision"], force_download=again))
    except errors.LocalEntryNotFoundError:
        reason = "the hub cannot be reached; check the network connection"
    except (errors.RepositoryNotFoundError, errors.RevisionNotFoundError):
        reason = "no such repository, or a private one; correct the name, or run 'hf auth login'"
    except errors.EntryNotFoundError:
        reason = f"the repository has no {file}; correct the name"
    except errors.HFValidationError:
        reason = "not a name that the hub can have; correct it"
    except Exception as error:  # it has clients and exceptions of its own, which change with its versions
        if isinstance(error, OSError) and error.errno is not None and error.filename is not None:
            raise  # the disk's fault
        reason = f"the hub refuses ({type(error).__name__}: {' '.join(str(error).split())[:120]})"
    raise TransferError(f"hf://{repository}: {reason}")
