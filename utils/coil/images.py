"""The images of a coil that are to be placed: their sizes and cameras, which were left out, and what was wrong."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from utils.coil.frames import Size, extent
from utils.coil.plan import Camera, CoilPlan
from utils.errors import InputError
from utils.text import plural

POSITIONS = "positions.csv"  # in the folder of a coil


class CoilImages:
    """Collects what is known of each image, and what was wrong on the way.

    Attributes:
        plan: of ``coil.yaml``.
        sizes: image name -> height and width in pixels, also of images that are absent.
        absent: images that have a place and cannot be read; a gap is where they lie.
        unplaced: images that were left out -> why.
        warnings: a line each.
    """

    def __init__(
        self, plan: CoilPlan, sizes: Mapping[str, Size], unread: Iterable[str] = (), not_asked: Iterable[str] = ()
    ) -> None:
        self.plan = plan
        self.not_asked = set(not_asked) - set(sizes)
        # What is not at hand is taken as large as most images are, and is placed for its gap.
        self.usual = Counter(sizes.values()).most_common(1)[0][0]
        self.absent = set(unread) - set(sizes)
        self.sizes = {**sizes, **dict.fromkeys(sorted(self.absent), self.usual)}
        self.warnings: list[str] = []
        self.unplaced: dict[str, str] = {}

    def seen_by(self, camera: str) -> Camera:
        """Return the camera as coil.yaml describes it; ``described`` was asked before."""
        seen = self.plan.camera(camera)
        assert seen is not None
        return seen

    def named(self, camera: str, file: Path | None) -> str:
        """Return the camera of images that name none: the only one that coil.yaml names."""
        names = [name for name in self.plan.cameras if name]
        if camera or not names:
            return camera
        if len(names) > 1:
            raise InputError(
                f"{file}: images without a camera, and coil.yaml describes several ({', '.join(names)}); say the camera of"
                f" each image in {POSITIONS}"
            )
        return names[0]

    def described(self, camera: str, file: Path | None) -> None:
        """Check that coil.yaml describes a camera."""
        if self.plan.camera(camera) is None:
            known = ", ".join(self.plan.cameras)
            who = f"camera {camera}" if camera else "images without a camera"
            raise InputError(
                f"{file}: {who}: coil.yaml describes {known} only; add it there, or give mm_per_pixel for all cameras"
            )

    def extent(self, image: str, camera: Camera) -> tuple[float, float]:
        """Return the length along and across that an image shows, in the unit of the plan."""
        return extent(self.sizes[image], camera)

    def leave_out(self, names: Iterable[str], reason: str) -> None:
        """Note images without a place; the first reason stays."""
        for name in names:
            self.unplaced.setdefault(name, reason)

    def warn(self, text: str) -> None:
        """Note what was wrong, and what was made of it."""
        self.warnings.append(text)


def some(names: Sequence[str]) -> str:
    """Return the first three names, and how many more there are."""
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(map(str, names[:3])) + more


def are(names: Sequence[str], noun: str) -> str:
    """Return how many there are as the beginning of a sentence: ``2 images are``."""
    return f"{plural(len(names), noun)} {'is' if len(names) == 1 else 'are'}"
