"""How images look that are evaluated, and how sure the network is about them: what a weights file tells drift by."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from utils.calibration.new_weights import NewWeights
from utils.errors import InputError
from utils.inference.chosen import Chosen
from utils.inference.inspected import Inspected
from utils.inference.looking import measuring
from utils.weights.appearance import LEAST, Appearance, described, entropy_of, summarised
from utils.weights.system_file import SystemFile
from utils.weights.weights_file import WeightsFile


class Looks:
    """Looks at images while they are evaluated; ``see`` may be called from several threads.

    Args:
        weights: whose images these are.
    """

    def __init__(self, weights: WeightsFile) -> None:
        self._multiclass = weights.spec.task == "multiclass"
        self._layer, self._look = measuring(weights)
        self._seen: dict[str, tuple[np.ndarray, float, float]] = {}

    def see(self, result: Inspected) -> None:
        """Take an image and what the network answered."""
        row = described(result.image, self._look(result.image) if self._look else None)
        entropy = entropy_of(result.logits, result.labels, self._multiclass)
        self._seen[result.name] = row, entropy, float(result.masks.any())

    def appearance(self) -> Appearance | None:
        """Put it together; None where the images are too few."""
        rows = [self._seen[name] for name in sorted(self._seen)]
        return summarised(
            [row for row, _, _ in rows], self._layer, [one for _, one, _ in rows], [one for _, _, one in rows]
        )


class NewAppearance:
    """Writes weights that know how these images look, and are otherwise as they were.

    Args:
        chosen: the weights.
        alike: others, which get the same.

    Raises:
        InputError: the weights are a system, or cannot be written.
    """

    def __init__(self, chosen: Chosen, alike: Sequence[Chosen] = ()) -> None:
        if isinstance(chosen.weights, SystemFile):
            raise InputError(
                f"-appearance: {chosen.path} is a system; its networks know how images look: name one of them"
            )
        self._looks, self._new = Looks(chosen.weights), NewWeights(chosen, alike, "-appearance")
        self.see = self._looks.see

    def finish(self, folder: Path, out: Path) -> Path:
        """Write the new weights file into ``folder``, and return where ``commit`` brings it; see ``NewWeights.prepare``.

        Raises:
            InputError: the images are too few.
        """
        found = self._looks.appearance()
        if found is None:
            raise InputError(f"-appearance: fewer than {LEAST} images are too few to tell others from")

        def change(weights: WeightsFile | SystemFile) -> WeightsFile | SystemFile:
            return dataclasses.replace(weights, appearance=found)  # type: ignore[arg-type]

        return self._new.prepare(change, folder, out)

    def commit(self) -> None:
        """Bring the new weights file to its place; the old one makes room."""
        self._new.commit()
