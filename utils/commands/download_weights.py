"""List, fetch and verify published weights: the one function behind ``Download_weights.py``."""

import contextlib
import hashlib
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout
from tqdm import tqdm

from config import DownloadWeightsConfig
from utils.errors import InputError
from utils.text import columns
from utils.weights.http import TransferError, without_secrets
from utils.weights.index import MOST_BYTES, OWN_INDEX, Entry, Index, Sibling, parse_index, read_index
from utils.weights.transfer import fetch, local_path, whole_address

ENVIRONMENT = "STEEL_WEIGHTS_INDEX"
ALL = "all"

WHOLE, FETCHED, DAMAGED, MISSING, HERE = "whole", "fetched", "damaged", "not here", "here"


@dataclass(frozen=True)
class DownloadResult:
    """What there is now.

    Attributes:
        to: the folder.
        index: the list.
        states: name -> ``whole``, ``fetched``, ``damaged`` or ``not here``, of the files that were asked for.
        what: ``fetch``, ``verify`` or ``list``.
    """

    to: Path
    index: Index
    states: dict[str, str]
    what: str

    @property
    def whole(self) -> bool:
        """Whether nothing that was looked for is damaged or missing."""
        return self.what == "list" or not {DAMAGED, MISSING} & set(self.states.values())

    def text(self) -> str:
        """Return as text for a terminal what there is."""
        if self.what == "list":
            return self._list()
        lines = []
        for name, state in self.states.items():
            entry = self.index.pick(name)
            remedy = f"; fetch it: python Download_weights.py {name}" if state in (DAMAGED, MISSING) else ""
            lines.append(f"{self.to / entry.file}: {state}{remedy}")
        return "\n".join(lines)

    def _list(self) -> str:
        if not self.index.entries:
            return f"{_shown(self.index)}: lists no weights yet; train some: python Train.py -dir DATA"
        rows = [["name", "MB", "task", "mean Dice", "empty baseline", "measured on", "here"]]
        for entry in self.index.entries:
            side = "test" if "test" in entry.scores else "valid"
            score = entry.scores.get(side, {})
            dice, empty = (_figure(score.get(key)) for key in ("mean_dice", "empty_baseline"))
            star = " (default)" if entry.name == self.index.default else ""
            here = self.states.get(entry.name, MISSING)
            rows.append([entry.name + star, _megabytes(entry), entry.task, dice, empty, score.get("data", "-"), here])
        return columns(rows, right=False)


def download_weights(config: DownloadWeightsConfig) -> DownloadResult:
    """Fetch published weights into a folder, or only list or verify them.

    Args:
        config: the flags of ``Download_weights.py``.

    Returns:
        What there is now.

    Raises:
        InputError: no such name, no such index, or a file that is not to be had; says why and what to do.
        OSError: the disk's fault.
    """
    if config.to.exists() and not config.to.is_dir():
        raise InputError(f"-to {config.to}: is a file; name a folder")
    index = find_index(config.index)
    if config.list:
        return DownloadResult(config.to, index, _states(config.to, index.entries, deep=False), "list")
    entries = _wanted(config, index)
    if config.verify:
        states = _states(config.to, entries, deep=True)
        if not config.names:  # those that are there; the others were not asked for
            states = {name: state for name, state in states.items() if state != MISSING}
        if not states:
            raise InputError(f"-verify: none of the index's files is in {config.to}; fetch one: {_command(config)}")
        return DownloadResult(config.to, index, states, "verify")
    states = {}
    for entry in entries:
        path = config.to / entry.file
        there = path.is_file() and is_whole(path, entry)
        if not there:
            _fetch(index, entry, path)
        states[entry.name] = WHOLE if there & _fetch_int8(index, entry, config.to) else FETCHED
    return DownloadResult(config.to, index, states, "fetch")


def find_index(word: str | None) -> Index:
    """Read the index that ``-index``, else the environment, names; else this repository's own.

    Raises:
        InputError: it is not to be had, or it is none.
    """
    named = word or os.getenv(ENVIRONMENT) or ""
    shown = f"{'-index ' if word else f'{ENVIRONMENT}='}{without_secrets(named)}"
    if not named:
        return read_index(OWN_INDEX)
    address = whole_address(named)
    if address.startswith("file:"):
        return read_index(local_path(address))
    with tempfile.TemporaryDirectory(prefix="weights-index-") as folder:
        part = Path(folder) / "index.part"
        try:
            fetch(address, part, None, lambda _: None)
        except TransferError as error:
            raise InputError(f"{shown}: {error}") from None
        if part.stat().st_size > MOST_BYTES:
            raise InputError(f"{shown}: too large for an index of weights; correct the address")
        return parse_index(part.read_bytes(), shown, address)


def _fetch_int8(index: Index, entry: Entry, to: Path) -> bool:
    """Fetch the 8-bit network that comes with weights; return whether nothing was to be fetched.

    The weights are of use without it, so a list that has lost it costs a line.
    """
    sibling = entry.sibling
    if sibling is None or ((to / sibling.file).is_file() and is_whole(to / sibling.file, sibling)):
        return True
    try:
        _fetch(index, sibling, to / sibling.file)
    except InputError as error:
        print(f"{error}; -precision int8 does not run without it", file=sys.stderr)
        return True
    return False


def is_whole(path: Path, entry: Entry | Sibling) -> bool:
    """Check whether a file has the length and the sha256 of the index."""
    if path.stat().st_size != entry.size:
        return False
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() == entry.sha256


def _wanted(config: DownloadWeightsConfig, index: Index) -> list[Entry]:
    if not index.entries:
        raise InputError(
            f"{_shown(index)}: lists no weights yet; name another list with -index, or train: python Train.py -dir DATA"
        )
    names = config.names or ((ALL,) if config.verify else (index.default or ALL,))
    if ALL in names:
        return list(index.entries)
    return list({entry.name: entry for entry in map(index.pick, names)}.values())


def _states(folder: Path, entries: list[Entry] | tuple[Entry, ...], deep: bool) -> dict[str, str]:
    """Look at the files: all of their bytes, or only whether they are there."""
    states = {}
    for entry in entries:
        path = folder / entry.file
        there = path.is_file()
        states[entry.name] = MISSING if not there else WHOLE if not deep or _all_whole(folder, entry) else DAMAGED
        if there and not deep:
            states[entry.name] = HERE
    return states


def _all_whole(folder: Path, entry: Entry) -> bool:
    """Check the weights, and the 8-bit network that may lie beside them."""
    sibling = entry.sibling
    beside = sibling is None or not (folder / sibling.file).is_file() or is_whole(folder / sibling.file, sibling)
    return beside and is_whole(folder / entry.file, entry)


def _megabytes(entry: Entry) -> str:
    sizes = [one.size for one in (entry, entry.sibling) if one is not None]
    return " + ".join(f"{size / 1e6:.1f}" for size in sizes)


def _fetch(index: Index, entry: Entry | Sibling, path: Path) -> None:
    """Fetch one file from the first of its addresses that gives the right bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with _alone(entry, path):
        if not (path.is_file() and is_whole(path, entry)):  # else another program has fetched it meanwhile
            _fetch_alone(index, entry, path)


@contextlib.contextmanager
def _alone(entry: Entry | Sibling, path: Path) -> Iterator[None]:
    """Wait until no other program fetches the same file; where the disk has no locks, nobody waits."""
    lock = FileLock(path.with_name(f".{path.name}.lock"), timeout=0)
    try:
        try:
            lock.acquire()
        except Timeout:
            print(f"{entry.name}: another program is fetching it; waiting for that", file=sys.stderr)
            lock.acquire(timeout=-1)
    except (NotImplementedError, OSError):
        yield
        return
    try:
        yield
    finally:
        lock.release()
        with contextlib.suppress(OSError):  # Windows: somebody waits for it
            Path(lock.lock_file).unlink()


def _fetch_alone(index: Index, entry: Entry | Sibling, path: Path) -> None:
    part = path.with_name(f"{path.name}.part")
    if part.is_symlink():  # not ours: it would be written through, and measured
        part.unlink()
    elif part.exists() and not part.is_file():
        raise InputError(f"{part}: is no file, and in the way; remove it")
    _check_space(entry, part)
    reasons: list[str] = []
    for address in index.addresses(entry):
        if address.startswith("file:") and local_path(address).absolute() == path.absolute():
            reasons.append(
                f"{path}: is missing or damaged, and comes with the repository; get it back by 'git checkout {path}'"
            )
            continue
        try:
            _fetch_checked(address, entry, part)
        except TransferError as error:
            reasons.append(str(error))
            continue
        except OSError as error:
            error.filename, error.filename2 = str(path), None
            raise
        os.replace(part, path)
        return
    raise InputError(f"{entry.name}: not fetched; {'; '.join(reasons)}")


def _fetch_checked(address: str, entry: Entry | Sibling, part: Path) -> None:
    """Fetch and compare the sha256; start anew where an old part or a cache may be to blame for a wrong one."""
    for again in (False, True):
        begun = part.stat().st_size if part.exists() else 0
        with tqdm(
            total=entry.size,
            initial=begun,
            desc=entry.name,
            unit="B",
            unit_scale=True,
            file=sys.stderr,
            disable=None,
            leave=False,
        ) as bar:
            fetch(address, part, entry.size, lambda there, bar=bar: bar.update(there - bar.n), again)  # type: ignore[misc]
        if is_whole(part, entry):
            with open(part, "rb+") as written:
                os.fsync(written.fileno())
            return
        size = part.stat().st_size
        part.unlink()
        if not begun and not address.startswith("hf:"):
            break
    wrong = f"{size} bytes instead of {entry.size}" if size != entry.size else "the sha256 differs"
    raise TransferError(
        f"{without_secrets(address)}: is not the file that the index means ({wrong}); take another -index"
    )


def _check_space(entry: Entry | Sibling, part: Path) -> None:
    missing = entry.size - (part.stat().st_size if part.exists() else 0)
    free = shutil.disk_usage(part.parent).free
    if free < missing:
        raise InputError(
            f"{part.parent}: {entry.name} needs {missing / 1e6:.1f} MB and {free / 1e6:.1f} MB are free;"
            " free some space, or name another folder with -to"
        )


def _command(config: DownloadWeightsConfig) -> str:
    to = "" if config.to == Path("weights") else f" -to {config.to}"
    return f"python Download_weights.py{f' -index {without_secrets(config.index)}' if config.index else ''}{to}"


def _shown(index: Index) -> str:
    return str(local_path(index.address)) if index.address.startswith("file:") else without_secrets(index.address)


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"
