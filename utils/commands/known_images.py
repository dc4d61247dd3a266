"""Look for copies between the images that are scored and those that a network has learnt from."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from tqdm import tqdm

from utils.data.checks import thread_count
from utils.data.duplicates.description import describe
from utils.data.duplicates.hashes import QUERY_POINTS, Hashes, Kind, query_of
from utils.data.images import ImageError, read_image
from utils.data.listing import name_in
from utils.scoring.scores import Scores
from utils.text import plural
from utils.weights.image_hashes import ImageHashes


class Unseen(Protocol):
    """Scores of the images without a copy."""

    @property
    def images(self) -> int:
        """Their number."""

    def to_dict(self) -> dict[str, Any]:
        """Return the numbers as plain dicts."""


@dataclass(frozen=True)
class KnownImages:
    """Which of the scored images a network has seen copies of.

    Attributes:
        images: number that were looked for.
        trained: number of training images whose hashes are known; 0: of none, so that nothing could be looked for.
        whole: names of images whose whole picture is among the training images.
        part: of those that share a part with one, as shifted crops do.
        valid: of those that have a copy among the images that the weights were chosen by alone.
        unknown: weights files that the network went on from, whose training images are not known.
    """

    images: int
    trained: int
    whole: tuple[str, ...] = ()
    part: tuple[str, ...] = ()
    valid: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()

    @property
    def seen(self) -> frozenset[str]:
        """Names of all images with a copy."""
        return frozenset((*self.whole, *self.part, *self.valid))

    def text(self, without: str, unseen: "Unseen | None") -> str:
        """Return a line for the user.

        Args:
            without: what the images without a copy score, in words.
            unseen: these scores; None: no image is left.
        """
        if not self.trained:
            return (
                "the weights file has no hashes of its training images: copies of them among these images cannot be"
                " looked for"
            )
        among = f"among the {plural(self.trained, 'training image', ',')}"
        doubt = f"; the training images of {', '.join(self.unknown)}, which it went on from, are not known"
        doubt = doubt if self.unknown else ""
        if not self.seen:
            return f"no copy of these {plural(self.images, 'image', ',')} was found {among}{doubt}"
        trained = len(self.whole) + len(self.part)
        kinds = f" ({len(self.whole):,} whole, {len(self.part):,} in part)" if trained else ""
        has = "has" if trained == 1 else "have"
        chosen = f", {len(self.valid):,} more among the validation images" if self.valid else ""
        count = f"{trained:,} of {plural(self.images, 'image', ',')} {has} a copy {among}{kinds}{chosen}"
        rest = f"without them {without} ({plural(unseen.images, 'image', ',')})" if unseen else "no other is left"
        return f"{count}; {rest}{doubt}"

    def to_dict(self) -> dict[str, Any]:
        """Return what a file of scores says."""
        return {
            "images": self.images,
            "training_images": self.trained,
            "whole_picture": list(self.whole),
            "part": list(self.part),
            "of_validation_images": list(self.valid),
            "unknown": list(self.unknown),
        }


def in_words(scores: Scores | None) -> str:
    """Return the scores of images without a copy as words."""
    if scores is None:
        return ""
    defect = f", defect Dice {scores.defect_dice:.4f}" if scores.defect_dice is not None else ""
    return f"mean Dice {scores.mean_dice:.4f}{defect}"


def recorded(known: KnownImages | None, unseen: Unseen | None) -> dict[str, Any]:
    """Return what ``metrics.json`` says about copies; nothing where they were not looked for."""
    if known is None:
        return {}
    without = {"scores_without": unseen.to_dict()} if unseen else {}
    return {"copies_of_training_images": {**known.to_dict(), **without}}


def find_known(
    hashes: ImageHashes | None,
    paths: Sequence[Path],
    validating: bool,
    workers: int | None = None,
    folder: Path | None = None,
) -> KnownImages:
    """Look for copies of images among those that a network has learnt from.

    Args:
        hashes: of the weights; None: they have none.
        paths: of the images; what cannot be read is for others to tell.
        validating: the images are those that the weights were chosen by, which are looked for in the training images
            alone.
        workers: threads; None: one a core.
        folder: of the images, to name those in folders within it; None: they are named by their files alone.
    """
    if hashes is None or not hashes.trained:
        return KnownImages(len(paths), 0, unknown=hashes.unknown if hashes else ())
    sets = [(one.scale, Hashes(one.train), Hashes(one.valid)) for one in hashes.sets]

    def look(path: Path) -> tuple[Kind | None, bool]:
        try:
            grey = read_image(path, 1)[..., 0]
        except ImageError:
            return None, False
        queries = [query_of(describe(grey, scale, QUERY_POINTS)) for scale, _, _ in sets]
        answers = [train.find(query) for query, (_, train, _) in zip(queries, sets, strict=True)]
        kind: Kind | None = "whole" if "whole" in answers else "part" if "part" in answers else None
        chosen = kind is None and not validating
        return kind, chosen and any(valid.find(query) for query, (_, _, valid) in zip(queries, sets, strict=True))

    with ThreadPoolExecutor(thread_count(workers)) as pool:
        found = list(tqdm(pool.map(look, paths), "looking for copies", len(paths), disable=None))
    names = [path.name if folder is None else name_in(folder, path) for path in paths]
    named = [(name, *answer) for name, answer in zip(names, found, strict=True)]
    return KnownImages(
        len(paths),
        hashes.trained,
        tuple(name for name, kind, _ in named if kind == "whole"),
        tuple(name for name, kind, _ in named if kind == "part"),
        tuple(name for name, _, chosen in named if chosen),
        hashes.unknown,
    )
