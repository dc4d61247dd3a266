"""The file that a calibration ends in: what may be written where, and how the one from training makes room."""

import contextlib
import functools
import os
import re
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from utils.data.dataset_folder import Dataset
from utils.data.images import ImageError
from utils.data.splits import groups_in, near_duplicate_groups
from utils.errors import InputError
from utils.files import replacing
from utils.inference.chosen import Chosen
from utils.weights.index import INDEX
from utils.weights.membership import systems_with
from utils.weights.system_file import SystemFile
from utils.weights.weights_file import SYSTEM_SUFFIX, WeightsFile

UNCALIBRATED = "uncalibrated"  # folder beside the new weights file that keeps the one from training
Change = Callable[[WeightsFile | SystemFile], WeightsFile | SystemFile]
LEAST = 3  # groups of images: two to choose on while the third is scored


class NewWeights:
    """Writes weights with new settings in two steps: whole into a folder of results, then to their place.

    Args:
        chosen: the weights as they are.
        alike: others that get the same settings.
        flag: that asked for it, for messages.

    Raises:
        InputError: the network is part of a system, or there is no permission to write beside the weights file.
    """

    def __init__(self, chosen: Chosen, alike: Sequence[Chosen] = (), flag: str = "-calibrate") -> None:
        self.chosen = chosen
        self.alike = tuple(alike)
        self._others = [NewWeights(one, (), flag) for one in alike]
        # What must stay as it is, or is in no file yet: the new one goes to the results.
        self.elsewhere = chosen.assembled or (chosen.path.parent / INDEX).is_file()
        systems = [] if self.elsewhere else systems_with(chosen.path)
        if systems:  # its file moves, and they know it by name and sha256
            raise InputError(
                f"{flag}: {systems[0]} needs {chosen.path} as it is; take a copy of the file elsewhere"
                + (f", or calibrate the whole with -weights_dir {systems[0]}" if flag == "-calibrate" else "")
            )
        if not chosen.assembled and not os.access(chosen.path.parent, os.W_OK):
            raise InputError(f"{flag}: no permission to write to {chosen.path.parent}; copy the weights elsewhere")
        self._commit: Callable[[], None] | None = None

    def prepare(self, change: Change, folder: Path, out: Path) -> Path:
        """Write the new weights into ``folder``; return where ``commit`` brings them.

        That is beside the old file, or ``out`` when it is a published one, or when there is none yet. Of several networks
        it is where the first goes.

        Args:
            change: returns weights with the new settings.
            folder: of the results.
            out: where they will lie.
        """
        for number, other in enumerate(self._others, start=2):
            other._prepare(change, folder / f"weights-{number}", out)
        return self._prepare(change, folder / "weights", out)

    def _prepare(self, change: Change, place: Path, out: Path) -> Path:
        """Write this network's new weights into the folder ``place``, see ``prepare``."""
        old, new = self.chosen.path, change(self.chosen.weights)
        target = out if self.elsewhere else old.parent
        if isinstance(new, SystemFile):  # small, and it names its members by their places
            path = target / f"{old.name.removesuffix(SYSTEM_SUFFIX)}{SYSTEM_SUFFIX}"
            self._commit = functools.partial(self._commit_system, new, path)
            return path
        staged = new.save_named(place, re.sub(r"-[0-9a-f]{8}$", "", old.stem))
        self._commit = functools.partial(self._commit_file, staged, target / staged.name)
        return target / staged.name

    def commit(self) -> None:
        """Bring what was prepared to its place, if there is something; the old file makes room."""
        if self._commit is not None:
            self._commit()
        for other in self._others:
            other.commit()

    def _commit_system(self, new: SystemFile, path: Path) -> None:
        old, weights = self.chosen.path, self.chosen.weights
        assert isinstance(weights, SystemFile)
        if not self.elsewhere and "calibration" not in weights.metrics:
            weights.save(old.parent / UNCALIBRATED / old.name)
        new.save(path)

    def _commit_file(self, staged: Path, path: Path) -> None:
        old = self.chosen.path
        with replacing(path) as temporary:
            shutil.move(staged, temporary)  # the run may lie on another disk than the results
        staged.parent.rmdir()
        if self.elsewhere or path == old:
            return
        if "calibration" in self.chosen.weights.metrics:
            old.unlink()  # the one from training is kept already
        else:
            kept = old.parent / UNCALIBRATED
            kept.mkdir(exist_ok=True)
            old.replace(kept / old.name)


def groups_of(split: Path, names: Sequence[str], dataset: Dataset | None = None) -> dict[str, int]:
    """Return the group number of each image: that of its near-duplicates, as training found them or as they are found now.

    Args:
        split: ``split.csv`` beside the weights file, which need not exist.
        names: of the images.
        dataset: where to look for near-duplicates where the split does not know the images; None: nowhere, each image is
            a group.

    Raises:
        InputError: there are too few that differ to choose by.
    """
    groups = groups_in(split, names)
    if not groups and dataset is not None:
        with contextlib.suppress(ImageError):  # what cannot be read is left out later, and named
            groups = near_duplicate_groups(dataset, None, True, names)
    groups = groups or {name: number for number, name in enumerate(names)}
    if len(set(groups.values())) < LEAST:
        raise InputError(
            f"-calibrate: {len(names)} images, fewer than {LEAST} that differ, are too few to choose by; add images"
        )
    return groups
