"""The index of published weights: what there is, how to know it again, how good it is, and where to fetch it."""

import dataclasses
import json
import math
import re
from pathlib import Path
from typing import Any
from urllib.parse import quote

from utils.errors import InputError
from utils.files import write_text
from utils.settings import nearest
from utils.text import visible

FORMAT = "steel-defect-segmentation weights index"
VERSION = 1
INDEX = "index.json"
MOST_BYTES = 1 << 24  # of an index; that of a thousand files has 5 MB
OWN_INDEX = Path(__file__).parents[2] / "weights" / INDEX

# One word that can be a file's name on every system, and no path.
PLAIN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,120}")
INT8_SUFFIX = "-int8.zip"  # of the 8-bit network that comes with a weights file
_SHA8 = re.compile(r"-[0-9a-f]{8}$")


@dataclasses.dataclass(frozen=True)
class Sibling:
    """A file that comes with a published weights file; its attributes are as in ``Entry``."""

    name: str
    file: str
    sha256: str
    size: int
    urls: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Entry:
    """One published weights file.

    Args:
        name: what users call it: the file's name without the digits of the sha256.
        file: its name on disk, ``NAME-SHA8.pth``.
        sha256: 64 hex digits of the file's bytes.
        size: of the file in bytes.
        urls: where it can be fetched, in the order to try: ``https://``, ``file://``, ``hf://USER/REPOSITORY/FILE``,
            or a name beside the index.
        architecture: the network's decoder.
        encoder: the network's encoder.
        task: what its outputs mean.
        classes: names of the masks that it predicts, class 1 first.
        storage: ``half`` or ``float``, the numbers in the file.
        scores: ``valid`` and, where it was measured, ``test``: ``data`` in words, and what ``Scores.to_dict`` gives.
        speed: ``images_per_second`` and ``network`` and ``hardware`` in words; empty when not measured.
        training: ``command``, ``epochs`` and ``seconds``.
        int8: of the 8-bit network that comes with it: ``file``, ``sha256``, ``size`` in bytes, and, where it was
            measured, its ``mean_dice``, that of the original, and ``images``; empty: none comes with it.
    """

    name: str
    file: str
    sha256: str
    size: int
    urls: tuple[str, ...]
    architecture: str
    encoder: str
    task: str
    classes: tuple[str, ...]
    storage: str = "float"
    scores: dict[str, Any] = dataclasses.field(default_factory=dict)
    speed: dict[str, Any] = dataclasses.field(default_factory=dict)
    training: dict[str, Any] = dataclasses.field(default_factory=dict)
    int8: dict[str, Any] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        # A file's name is joined to the user's folder, so it must not lead out of it.
        for word in (self.name, self.file):
            if not PLAIN_NAME.fullmatch(word):
                raise ValueError(f"{word!r} is no plain file name")
        if not re.fullmatch(r"[0-9a-f]{64}", self.sha256):
            raise ValueError(f"the sha256 of {self.name} is not 64 hex digits")
        if self.file != f"{self.name}-{self.sha256[:8]}.pth":
            raise ValueError(f"{self.file} should be {self.name}-{self.sha256[:8]}.pth")
        if self.size < 1 or not self.urls:
            raise ValueError(f"{self.name} has no size or no address")
        for url in self.urls:
            if "://" not in url and (url.startswith("/") or ".." in url.split("/") or "\\" in url):
                raise ValueError(f"{url!r} leads out of the folder of the index")
        if self.int8:
            self._check_int8()

    @property
    def sibling(self) -> "Sibling | None":
        """The file of the 8-bit network, which lies wherever the weights lie."""
        if not self.int8:
            return None
        name, sha256, size = (self.int8[key] for key in ("file", "sha256", "size"))
        urls = tuple(f"{url.rpartition('/')[0]}/{name}" if "/" in url else name for url in self.urls)
        return Sibling(f"{self.name} in 8-bit integers", name, sha256, size, urls)

    def _check_int8(self) -> None:
        file, sha256, size = (self.int8.get(key) for key in ("file", "sha256", "size"))
        if file != f"{self.file.removesuffix('.pth')}{INT8_SUFFIX}":
            raise ValueError(f"the 8-bit file {file!r:.80} of {self.name} is not named for its weights")
        if not isinstance(sha256, str) or not re.fullmatch(r"[0-9a-f]{64}", sha256):
            raise ValueError(f"the sha256 of {file} is not 64 hex digits")
        if type(size) is not int or size < 1:
            raise ValueError(f"{file} has no size")

    def is_called(self, word: str) -> bool:
        """Check whether a user's word means this file: its name with or without the digits and ``.pth``."""
        return word in (self.name, self.file, Path(self.file).stem)

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain JSON values."""
        return {key: list(value) if isinstance(value, tuple) else value for key, value in vars(self).items()}

    @classmethod
    def from_dict(cls, plain: dict[str, Any]) -> "Entry":
        """Rebuild what ``to_dict`` made; unknown keys of newer programs are left out."""
        known = {field.name: plain[field.name] for field in dataclasses.fields(cls) if field.name in plain}
        for key in ("urls", "classes"):
            if not isinstance(known.get(key), list):
                raise ValueError(f"{key} is no list")
            known[key] = tuple(map(str, known[key]))
        for key in ("name", "file", "sha256", "architecture", "encoder", "task", "storage"):
            if not isinstance(known.get(key, "float"), str) or (key != "storage" and key not in known):
                raise ValueError(f"{key} is missing")
        if type(known.get("size")) is not int:
            raise ValueError(f"size of {known['name']} is no whole number")
        for key in ("scores", "speed", "training", "int8"):
            _check_figures(key, known.get(key, {}))
        if any(not isinstance(score, dict) for score in known.get("scores", {}).values()):
            raise ValueError(f"scores of {known['name']} are no entries by name")
        speed = known.get("speed", {})
        if speed and any(speed.get(key) is None for key in ("images_per_second", "network", "hardware")):
            raise ValueError(f"speed of {known['name']} lacks a figure")
        return cls(**known)


# What is text among the figures of an entry, and what is a number; whatever else newer programs write is theirs.
_WORDS = {"data", "network", "hardware", "command"}
_FIGURES = {
    *("images", "pairs", "with_defect", "mean_dice", "empty_baseline", "defect_dice", "iou", "image_iou", "precision"),
    *("recall", "images_per_second", "epochs", "seconds"),
}


def _check_figures(name: str, given: Any) -> None:
    """Raise ``ValueError`` where the figures of an entry are no entries by name, or one of them is no number."""
    if not isinstance(given, dict):
        raise ValueError(f"{name} is {given!r:.60}, expected entries by name")
    for key, value in given.items():
        where = f"{name} {key}"
        if key == "classes":
            if not isinstance(value, dict):
                raise ValueError(f"{where} is {value!r:.60}, expected entries by name")
            for class_name, figures in value.items():
                _check_figures(f"{where} {class_name}", figures)
        elif key in _WORDS and not isinstance(value, str):
            raise ValueError(f"{where} is {value!r:.60}, expected text")
        elif key in _FIGURES and not (value is None or (type(value) in (int, float) and math.isfinite(value))):
            raise ValueError(f"{where} is {value!r:.60}, expected a number")
        elif isinstance(value, dict):
            _check_figures(where, value)


@dataclasses.dataclass(frozen=True)
class Index:
    """A list of published weights.

    Args:
        entries: in the order of the file.
        default: name of the one to take when none is named; None in an empty index.
        address: where the index is, as ``https://``, ``file://`` or ``hf://``; what is beside it is named from there.
    """

    entries: tuple[Entry, ...] = ()
    default: str | None = None
    address: str = ""

    def __post_init__(self) -> None:
        names = [entry.name for entry in self.entries]
        if len(set(names)) < len(names):
            raise ValueError("a name stands in it twice")
        if (self.default is None) != (not names) or (names and self.default not in names):
            raise ValueError(f"default {self.default!r} is none of its names")

    def find(self, word: str) -> Entry | None:
        """Return the entry that a user's word means."""
        return next((entry for entry in self.entries if entry.is_called(word)), None)

    def pick(self, word: str) -> Entry:
        """Return the entry that a user's word means; raises ``InputError`` that names the nearest when there is none."""
        entry = self.find(word)
        if entry is None:
            names = [entry.name for entry in self.entries]
            raise InputError(
                f"{word}: no such weights{nearest(word, names)}; the index has {', '.join(names) or 'none'}"
            )
        return entry

    def addresses(self, entry: Entry | Sibling) -> list[str]:
        """Return where a file can be fetched; names beside the index become whole addresses."""
        beside = self.address.rpartition("/")[0]
        return [url if "://" in url else f"{beside}/{quote(url)}" for url in entry.urls]

    def with_entry(self, entry: Entry, as_default: bool = False) -> "Index":
        """Return an index that has this entry in place of any of the same name."""
        entries = [old for old in self.entries if old.name != entry.name]
        entries = sorted([*entries, entry], key=lambda each: each.name)
        default = entry.name if as_default or self.default is None else self.default
        return Index(tuple(entries), default, self.address)

    def save(self, path: Path) -> None:
        """Write to ``path`` in one step."""
        plain = {
            "format": FORMAT,
            "version": VERSION,
            "default": self.default,
            "weights": [entry.to_dict() for entry in self.entries],
        }
        write_text(path, json.dumps(plain, indent=2, ensure_ascii=False) + "\n")


def parse_index(text: str | bytes, shown: str, address: str) -> Index:
    """Read an index.

    Args:
        text: the content of an ``index.json``.
        shown: what messages call it.
        address: where it is, see ``Index``.

    Raises:
        InputError: not an index, damaged, or of a newer version.
    """
    try:
        plain = _shown(json.loads(text))
        if not isinstance(plain, dict) or plain.get("format") != FORMAT:
            raise InputError(f"{shown}: not an index of weights; name an {INDEX} that Publish_weights.py wrote")
        if plain.get("version") != VERSION:
            raise InputError(
                f"{shown}: format version {plain.get('version')}, this program reads {VERSION}; update the program"
            )
        return Index(tuple(map(Entry.from_dict, plain["weights"])), plain.get("default"), address)
    except (ValueError, KeyError, TypeError, AttributeError) as error:  # undecodable text is a ValueError
        reason = " ".join(str(error).split())
        raise InputError(f"{shown}: damaged index of weights ({reason}); fetch it again") from None


def _shown(value: Any) -> Any:
    """Return JSON values without what a terminal would obey; the lines of a command stay lines."""
    if isinstance(value, str):
        return "\n".join(map(visible, value.split("\n")))
    if isinstance(value, list):
        return [_shown(one) for one in value]
    return {_shown(key): _shown(one) for key, one in value.items()} if isinstance(value, dict) else value


def read_index(path: Path) -> Index:
    """Read an index file; raises ``InputError`` when it is not there or damaged."""
    if not path.is_file():
        raise InputError(f"{path}: no such index of weights; name an {INDEX} or the folder of one")
    if path.stat().st_size > MOST_BYTES:
        raise InputError(f"{path}: too large for an index of weights; name an {INDEX} or the folder of one")
    return parse_index(path.read_bytes(), str(path), path.absolute().as_uri())


def bare(stem: str) -> str:
    """Return the name of a weights file without the 8 digits of its sha256."""
    return _SHA8.sub("", stem)
