"""Which weights the page can use: those loaded at start, and others that lie beside them or were published."""

import os
import threading
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

from utils.errors import InputError
from utils.inspection.about import About
from utils.inspection.inspector import Inspector
from utils.weights.finding import known_folder, list_weights, named
from utils.weights.index import OWN_INDEX, bare, read_index
from utils.weights.weights_file import SYSTEM_SUFFIX

MOST_OPENED = 2  # inspectors that stay open beside the one loaded at start


def find_weights(weights_dir: Path) -> dict[str, Path]:
    """List the weights files and system files that can be chosen.

    Args:
        weights_dir: folder or file that ``-weights_dir`` names; of several the first one's folder counts.

    Returns:
        Name (without the digits of the sha256, where that is enough to tell them apart) -> file: those of the folder
        and its ``systems/``, then the published ones of this repository that are here.
    """
    weights_dir = known_folder(named(weights_dir)[0])
    folder = weights_dir if weights_dir.is_dir() else weights_dir.parent
    here = list_weights(folder)
    files = [path for path in [*here, *list_weights(folder / "systems")] if path.name.endswith(SYSTEM_SUFFIX)]
    files += [path for path in here if path.suffix == ".pth"]
    published = OWN_INDEX.parent
    if OWN_INDEX.is_file() and published.resolve() != folder.resolve():
        listed = [published / entry.file for entry in read_index(OWN_INDEX).entries]
        files += [path for path in listed if path.is_file()]
    found: dict[str, Path] = {}
    for path in files:
        stem = _stem(path)
        name = bare(stem)
        found[name if name not in found else stem] = path
    return found


def _stem(path: Path) -> str:
    return path.name.removesuffix(SYSTEM_SUFFIX).removesuffix(".pth")


class Inspectors:
    """Inspectors by the names of their weights, opened when first wanted; the least used are closed again.

    Args:
        served: the inspector loaded at start, which is never closed here.
        files: the others, see ``find_weights``.
        open_file: loads a weights file.
    """

    def __init__(self, served: Inspector, files: dict[str, Path], open_file: Callable[[Path], Inspector]) -> None:
        self.served = served
        self.default = served.about.name
        others = {name: path for name, path in files.items() if path.name != served.about.file}
        if self.default in others:  # one name and two files: a run folder's and a published one
            path = others.pop(self.default)
            others[_stem(path)] = path
        self._files, self._open_file = others, open_file
        self._others: OrderedDict[str, Inspector] = OrderedDict()
        self._lock = threading.Lock()
        self._opening = {name: threading.Lock() for name in others}  # loading takes seconds

    @property
    def names(self) -> list[str]:
        """All that can be chosen, the one loaded at start first."""
        return [self.default, *self._files]

    def file_of(self, name: str) -> str | None:
        """Return the name of the file of some weights; None without such weights."""
        if name == self.default:
            return self.served.about.file
        path = self._files.get(name)
        return None if path is None else path.name

    def has(self, about: About) -> bool:
        """Check whether some weights are still there by their name, as far as that is known without loading them."""
        if self.file_of(about.name) != about.file:
            return False
        found = self.served if about.name == self.default else self._others.get(about.name)
        return found is None or found.about.is_of(about)

    def path_of(self, name: str) -> Path | None:
        """Return the file of some weights; None where there is none."""
        return self.served.path if name == self.default else self._files.get(name)

    def get(self, name: str) -> Inspector:
        """Return the inspector of some weights, and load them if need be.

        Raises:
            InputError: the file cannot be used.
            KeyError: no such name.
        """
        if name == self.default:
            return self.served
        path = self._files[name]
        if (found := self._known(name)) is not None:
            return found
        surplus: list[Inspector] = []
        with self._opening[name]:
            if (found := self._known(name)) is not None:
                return found
            try:
                found = self._open_file(path)
            except InputError as error:  # where the file lies is no business of a browser's
                raise InputError(str(error).replace(str(path.parent) + os.sep, "")) from None
            with self._lock:
                self._others[name] = found
                while len(self._others) > MOST_OPENED:
                    surplus.append(self._others.popitem(last=False)[1])
        for inspector in surplus:
            inspector.close()
        return found

    def _known(self, name: str) -> Inspector | None:
        with self._lock:
            found = self._others.get(name)
            if found is not None:
                self._others.move_to_end(name)
            return found

    def close(self) -> None:
        """Close all but the one loaded at start."""
        with self._lock:
            others, self._others = list(self._others.values()), OrderedDict()
        for inspector in others:
            inspector.close()
