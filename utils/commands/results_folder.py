"""Folders for results in which nothing of the user's own is written over."""

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from config import EvaluateConfig
from utils.errors import InputError
from utils.files import make_folder
from utils.weights.run_files import CHECKPOINTS, METRICS, SETTINGS

SUMMARY = "summary.json"
UNFINISHED = ".unfinished"  # stands for the summary of a prediction that was broken off


def refuse_foreign_pictures(out: Path, folders: Sequence[Path], images: Path) -> None:
    """Raise ``InputError`` where pictures of a prediction would replace files that no prediction wrote.

    Args:
        out: folder of the results.
        folders: in it, for the pictures.
        images: folder of the images that are to be predicted.
    """
    for folder in folders:
        if folder.resolve() == images.resolve():
            raise InputError(
                f"-out {out}: the images themselves are in {folder} and would be replaced; name another folder with -out"
            )
        if _has_files(folder) and not any((out / name).is_file() for name in (SUMMARY, UNFINISHED)):
            raise InputError(
                f"-out {out}: {folder} holds files that no prediction wrote, since there is no {SUMMARY} beside it; name"
                " another folder with -out"
            )


@contextlib.contextmanager
def marked(out: Path, folders: Sequence[Path]) -> Iterator[None]:
    """Mark pictures as those of a prediction until its summary does; the mark stays where some were written before an error."""
    mark = out / UNFINISHED
    mark.touch()
    try:
        yield
    except BaseException:
        if not any(map(_has_files, folders)):
            mark.unlink(missing_ok=True)
        raise
    mark.unlink(missing_ok=True)


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


def _has_files(folder: Path) -> bool:
    return folder.is_dir() and any(not path.name.startswith(".") for path in folder.iterdir())
