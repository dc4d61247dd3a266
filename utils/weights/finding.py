"""Find the weights file that a user means: a file, the default of a folder, or one of several by its name."""

from collections.abc import Sequence
from pathlib import Path

from utils.errors import InputError
from utils.weights.ensemble import ensemble_of
from utils.weights.index import INDEX, OWN_INDEX, Index, bare, read_index
from utils.weights.run_files import FOLDS
from utils.weights.system_file import SystemFile, read_system
from utils.weights.weights_file import SYSTEM_SUFFIX, WeightsFile, load

DEFAULT = Path("weights")  # of -weights_dir
TRAIN_FIRST = "give a weights file or a run folder, or train one first: python Train.py -dir DATA"


def open_weights(weights_dir: Path, name: str | None = None) -> WeightsFile | SystemFile:
    """Find and read what ``-weights_dir`` and ``-weights`` name: a weights file, a system file, or several weights files.

    Raises:
        InputError: nothing there, or it cannot be used; see ``find``, ``load``, ``read_system`` and ``ensemble_of``.
    """
    places = named(weights_dir)
    if len(places) > 1:
        if name is not None:
            raise InputError(f"-weights {name}: -weights_dir names {len(places)} networks; leave one of the two out")
        return ensemble_of([find(place) for place in places])
    path = find(weights_dir, name)
    return read_system(path) if path.suffix == ".json" else load(path)


def named(weights_dir: Path) -> list[Path]:
    """Return the files and folders that ``-weights_dir`` names: one, or several between commas.

    What is there by the whole name is one, commas and all. A run of ``-folds`` stands for the networks of its folds.

    Raises:
        InputError: nothing stands between two commas, or a fold is not trained yet.
    """
    words = [word.strip() for word in str(weights_dir).split(",")]
    if len(words) == 1 or _is_there(weights_dir):
        return _networks_of(weights_dir)
    if "" in words:
        raise InputError(f"-weights_dir {weights_dir}: expected weights files or run folders between the commas")
    try:
        places = [Path(word).expanduser() for word in words]
    except RuntimeError:
        raise InputError(f"-weights_dir {weights_dir}: there is no such user; write the paths in full") from None
    return [one for place in places for one in _networks_of(place)]


def _networks_of(place: Path) -> list[Path]:
    """Return the run folder of each fold where a folder is a run of ``-folds``, else the place itself."""
    if not _is_there(place / FOLDS):
        return [place]
    folds = sorted(place.glob("fold-*"), key=lambda folder: (len(folder.name), folder.name))
    untrained = [folder.name for folder in folds if not list_weights(folder)]
    if untrained or not folds:
        raise InputError(
            f"-weights_dir {place}: {', '.join(untrained) or 'no fold'} not trained yet; go on with: python Train.py"
            f" -resume {place}"
        )
    return folds


def _is_there(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # a longer name than the disk allows
        return False


def known_folder(weights_dir: Path) -> Path:
    """Return the folder that ``-weights_dir`` means: its default is found from any working directory."""
    return OWN_INDEX.parent if weights_dir == DEFAULT and not weights_dir.exists() else weights_dir


def list_weights(folder: Path) -> list[Path]:
    """List the weights and system files of a folder, sorted; what else ends in ``.pth`` too.

    A name that begins with a dot is none: a kill may leave one of ``replacing``, half written.
    """
    names = ("[!.]*.pth", f"[!.]*{SYSTEM_SUFFIX}")
    return sorted(path for name in names for path in folder.glob(name))


def find(weights_dir: Path, name: str | None = None) -> Path:
    """Choose the weights file in a folder.

    Args:
        weights_dir: a ``.pth`` file, or a folder that holds some (a run folder too).
        name: with or without ``.pth`` and the digits of the sha256; none takes the default of the folder's
            ``index.json``, or the only file.

    Raises:
        InputError: nothing there, or more than one to choose from; the message lists the names, and says how to fetch
            what is published but not there.
    """
    weights_dir = known_folder(weights_dir)
    if weights_dir.is_file():
        if choose([weights_dir], name, None) is None:
            raise InputError(f"-weights {name}: -weights_dir is the file {weights_dir}; leave one of the two out")
        return weights_dir
    index = read_index(weights_dir / INDEX) if (weights_dir / INDEX).is_file() else None
    if not weights_dir.is_dir():
        raise InputError(f"-weights_dir {weights_dir}: no such file or folder; {_remedy(index, name, weights_dir)}")
    files = list_weights(weights_dir)
    chosen = choose(files, name, index)
    if chosen is not None:
        return chosen
    names = ", ".join(file.stem for file in files)
    runs = sorted({file.parent.name for file in weights_dir.glob("*/*.pth")}) if not files else []
    if runs:
        raise InputError(
            f"-weights_dir {weights_dir}: no .pth file in it, but in its folders ({', '.join(runs[:5])}); name one of them"
        )
    if not files:
        raise InputError(f"-weights_dir {weights_dir}: no .pth file in it; {_remedy(index, name, weights_dir)}")
    if name is not None:
        offer = _offer(index, name, weights_dir)
        raise InputError(f"-weights {name}: not in {weights_dir}, which has {names}{f'; {offer}' if offer else ''}")
    raise InputError(f"-weights_dir {weights_dir}: holds several weights files, choose with -weights from {names}")


def choose(files: Sequence[Path], name: str | None, index: Index | None) -> Path | None:
    """Choose among the weights files of a folder.

    Args:
        files: the ``.pth`` files that are there.
        name: with or without ``.pth`` and the digits of the sha256; None takes the index's default, or the only file.
        index: of the folder, where it has one.

    Returns:
        The file; None when it is not there or when several could be meant.
    """
    if name is None:
        default = index.find(index.default) if index and index.default else None
        listed = [file for file in files if default and file.name == default.file]
        return listed[0] if listed else files[0] if len(files) == 1 else None
    exact = [file for file in files if name in (file.name, file.stem)]
    entry = index.find(name) if index else None
    listed = [file for file in files if entry and file.name == entry.file]
    alike = [file for file in files if bare(file.stem) == name]
    return next(iter(exact + listed + (alike if len(alike) == 1 else [])), None)


def _offer(index: Index | None, name: str | None, folder: Path) -> str | None:
    """Return the command that fetches what is published but not there; None when it is not published."""
    try:
        published = index or read_index(OWN_INDEX)
    except InputError:  # a copy of the program without its weights/
        return None
    if not published.find(name or published.default or ""):
        return None
    words = ["fetch it: python Download_weights.py", *([name] if name else [])]
    return " ".join([*words, *([] if folder in (DEFAULT, OWN_INDEX.parent) else ["-to", str(folder)])])


def _remedy(index: Index | None, name: str | None, folder: Path) -> str:
    offer = _offer(index, name, folder)
    return f"{offer}, or {TRAIN_FIRST}" if offer else TRAIN_FIRST
