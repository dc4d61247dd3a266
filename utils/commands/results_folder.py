"""Folders for results in which nothing of the user's own is written over."""

import contextlib
import json
import os
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from config import EvaluateConfig
from utils.data.listing import PICTURES, SUMMARY, UNFINISHED
from utils.errors import InputError
from utils.files import alone_in, make_folder, write_text
from utils.inference.chosen import Chosen
from utils.inference.outputs import SAVES
from utils.weights.run_files import CHECKPOINTS, METRICS, SETTINGS

PICTURES_OF = "pictures"  # in both: names of the pictures that predictions wrote, by folder, which the next may remove


def refuse_foreign_pictures(out: Path, folders: Sequence[Path], images: Path, paths: Iterable[Path]) -> None:
    """Raise ``InputError`` where pictures of a prediction would replace files that no prediction wrote.

    Args:
        out: folder of the results.
        folders: in it, for the pictures.
        images: folder of the images that are to be predicted.
        paths: their files, in it or in folders within.
    """
    places = {images.resolve(), *(place.resolve() for place in {path.parent for path in paths})}
    for folder in folders:
        resolved = folder.resolve()
        if any(place == resolved or resolved in place.parents for place in places):
            raise InputError(
                f"-out {out}: the images themselves are in {folder} and would be replaced; name another folder with -out"
            )
        if _has_files(folder) and not any((out / name).is_file() for name in (SUMMARY, UNFINISHED)):
            raise InputError(
                f"-out {out}: {folder} holds files that no prediction wrote, since there is no {SUMMARY} beside it; name"
                " another folder with -out"
            )


class Results:
    """A folder of results that one prediction holds.

    Args:
        out: the folder.
        folders: in it, for the pictures.
        names: of the pictures that may be written, the same in each folder; those in folders within with ``/``.
    """

    def __init__(self, out: Path, folders: Sequence[Path], names: Iterable[str]) -> None:
        self.out, self.folders, self.names, self.began = out, folders, set(names), time.time_ns()
        self.earlier = own_pictures(out)
        self.tables = own_tables(out)

    def mark(self) -> None:
        """Write the mark, which says what may be ours should there never be a summary."""
        words = {*self.earlier, *(folder.name for folder in self.folders)}
        mine = {folder.name: self.names for folder in self.folders}
        both = {word: sorted({*self.earlier.get(word, ()), *mine.get(word, ())}) for word in words}
        write_text(self.out / UNFINISHED, json.dumps({PICTURES_OF: both}))

    def settle(self, written: Sequence[str]) -> dict[str, list[str]]:
        """Remove pictures and tables of earlier predictions that were not written anew.

        Args:
            written: what this prediction wrote.

        Returns:
            The pictures that are ours now, by folder, for the summary.
        """
        for table in self.tables - set(written):
            (self.out / table).unlink(missing_ok=True)
        own = {word: sorted(names) for word, names in self.earlier.items()}
        for folder in self.folders:
            for name in self.earlier.get(folder.name, set()) - self.names:
                _remove(folder, name)
            own[folder.name] = sorted(name for name in self.names if _is_new(folder / name, self.began))
        return own


@contextlib.contextmanager
def marked(out: Path, folders: Sequence[Path], names: Iterable[str]) -> Iterator[Results]:
    """Hold a folder of results for one prediction, and mark its pictures as those of a prediction until its summary does.

    The mark stays where some were written before an error. Files of the user's are never removed.

    Args:
        out: folder of the results.
        folders: in it, for the pictures.
        names: of the pictures that may be written, the same in each folder.

    Raises:
        InputError: another prediction is writing there.
    """
    with alone_in(out) as alone:
        if not alone:
            raise InputError(f"-out {out}: another prediction is writing there; wait for it, or name another with -out")
        results = Results(out, folders, names)
        results.mark()
        try:
            yield results
        except BaseException:
            if not any(map(_has_files, folders)):
                (out / UNFINISHED).unlink(missing_ok=True)
            raise
        (out / UNFINISHED).unlink(missing_ok=True)


def left_over(out: Path, written: Sequence[str]) -> list[str]:
    """Name what lies in a folder of results and is not of the prediction that was just written: files, pictures, folders.

    Args:
        out: folder of the results.
        written: what the prediction wrote, as its summary names it: ``overlays/``, ``submission.csv``, ...
    """
    own = own_pictures(out)
    names = []
    for word in SAVES:
        shown = f"{word}/" if word in PICTURES else f"{word}.csv"
        if shown not in written:
            names += [shown] if (_has_files(out / word) if word in PICTURES else (out / shown).is_file()) else []
        elif word in PICTURES and (out / word).is_dir():
            names += [shown + name for name in sorted(_files(out / word)) if name not in own.get(word, ())]
    return names


def own_pictures(out: Path) -> dict[str, set[str]]:
    """Read which pictures earlier predictions wrote, by folder; nothing where no list can be read that makes sense."""
    own: dict[str, set[str]] = {}
    for file in (SUMMARY, UNFINISHED):
        with contextlib.suppress(OSError, ValueError, TypeError, AttributeError, KeyError):
            listed = json.loads((out / file).read_text(encoding="utf-8"))[PICTURES_OF]
            for word in PICTURES:
                names = listed.get(word, [])
                if all(isinstance(name, str) and _stays_within(name) for name in names):
                    own.setdefault(word, set()).update(names)
    return own


def own_tables(out: Path) -> set[str]:
    """Read which tables the last prediction wrote, and nobody has changed since; nothing where that cannot be told."""
    with contextlib.suppress(OSError, ValueError, TypeError, AttributeError, KeyError):
        done = (out / SUMMARY).stat().st_mtime_ns
        listed = json.loads((out / SUMMARY).read_text(encoding="utf-8"))["written"]
        tables = {f"{word}.csv" for word in SAVES if word not in PICTURES} & {
            name for name in listed if isinstance(name, str)
        }
        return {name for name in tables if (out / name).is_file() and (out / name).stat().st_mtime_ns <= done}
    return set()


def _is_new(path: Path, began: int) -> bool:
    """Check whether a picture was written since then, with a second's grace for disks that count in these."""
    try:
        return path.stat().st_mtime_ns >= began - 2 * 10**9
    except OSError:
        return False


def evaluation_folder(config: EvaluateConfig) -> Path:
    """Make the folder for an evaluation; raises ``InputError`` for that of a training run, whose metrics would go."""
    out = config.out or config.dir / "evaluation"
    found = next((name for name in (SETTINGS, CHECKPOINTS) if (out / name).exists()), None)
    if found:
        raise InputError(
            f"-out {out}: is the folder of a training run, which has {found} and its own {METRICS}; name another folder"
            " with -out"
        )
    return make_folder(out)


def about_replaced(out: Path, chosen: Chosen) -> str:
    """Say which weights an earlier evaluation in a folder was of, where those were others; else return ""."""
    with contextlib.suppress(OSError, ValueError, TypeError, AttributeError, KeyError):
        earlier = json.loads((out / METRICS).read_text(encoding="utf-8"))
        name, digits = str(earlier["weights"]), str(earlier["sha8"])
        if digits != chosen.sha8:
            return f"the evaluation of {name} that was in {out} is replaced; -out names another folder for each"
    return ""


def _has_files(folder: Path) -> bool:
    return any(True for _ in _files(folder))


def _files(folder: Path) -> Iterator[str]:
    """Give the names of the files in a folder and in folders within, with forward slashes; hidden ones are left out."""
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        within = Path(place).relative_to(folder)
        linked = [name for name in folders if (Path(place) / name).is_symlink()]
        yield from ((within / name).as_posix() for name in (*names, *linked) if not name.startswith("."))


def _stays_within(name: str) -> bool:
    """Check that a name of a list is one that a prediction gives to a picture: it leads nowhere else, on no system."""
    parts = name.split("/")
    return not (set(parts) & {"", ".", ".."} or "\0" in name or (os.name == "nt" and set(name) & set("\\:")))


def _remove(folder: Path, name: str) -> None:
    """Remove a picture, and the folders within that are empty then; what a link has put elsewhere stays."""
    path = folder / name
    if not path.parent.resolve().is_relative_to(folder.resolve()):
        return
    path.unlink(missing_ok=True)
    with contextlib.suppress(OSError):  # others are in it
        for parent in path.parents:
            if parent == folder:
                break
            parent.rmdir()
