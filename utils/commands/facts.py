"""What an evaluation says about the images, the network and the machine: in words for a report, as values for a file."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from config import EvaluateConfig
from utils.data.folder_layout import IMAGES
from utils.data.listing import name_in
from utils.device import versions
from utils.inference.chosen import Chosen
from utils.inference.inspected import Refused


class Scored(Protocol):
    """What every evaluation knows of itself."""

    @property
    def images(self) -> int:
        """Number of images that were scored."""

    @property
    def images_per_second(self) -> float:
        """From file to figures."""

    @property
    def skipped(self) -> tuple[Refused, ...]:
        """Images that could not be read."""

    @property
    def what(self) -> str:
        """The images in words."""

    @property
    def seconds(self) -> float:
        """For all images."""

    @property
    def network(self) -> str:
        """What ran it."""

    @property
    def bit_depth(self) -> str:
        """How images with more than 8 bits were read, in words; empty when nothing was known or measured."""

    @property
    def about_copies(self) -> str:
        """How many images have a copy among those trained on, and what the others score; "" where nobody looked."""

    @property
    def left_out(self) -> tuple[str, ...]:
        """A line for each class of the data that the weights do not know."""


def facts(config: EvaluateConfig, chosen: Chosen, result: Scored) -> dict[str, Any]:
    """Return label and value of everything that somebody who reads the scores later has to know."""
    found = {name.replace("_", " "): _words(value) for name, value in chosen.to_dict().items()}
    found |= {
        "images": f"{result.what}: {result.images:,}",
        "dataset": str(config.dir),
        "skipped": "; ".join(f"{_shown(config.dir, image)}: {image.reason}" for image in result.skipped) or "none",
        **({"not scored": "; ".join(result.left_out)} if result.left_out else {}),
        **({"copies of training images": result.about_copies} if result.about_copies else {}),
        "network": result.network,
        **({"images with more than 8 bits": result.bit_depth} if result.bit_depth else {}),
        "time": f"{result.seconds:.1f} s, {result.images_per_second:.1f} images/s from file to figures",
    }
    return found | {f"version of {name}": version for name, version in versions().items()}


def metrics(config: EvaluateConfig, chosen: Chosen, result: Scored, scores: Mapping[str, Any]) -> dict[str, Any]:
    """Return what ``metrics.json`` holds: the network and its decision, the scores, and how they were measured."""
    return {
        **chosen.to_dict(),
        "dataset": str(config.dir),
        "split": config.split,
        "network": result.network,
        "bit_depth": result.bit_depth or None,
        **scores,
        **({"not_scored": list(result.left_out)} if result.left_out else {}),
        "skipped": [refused.to_dict() for refused in result.skipped],
        "seconds": round(result.seconds, 3),
        "images_per_second": round(result.images_per_second, 3),
        "versions": versions(),
    }


def _shown(root: Path, image: Refused) -> str:
    """Return the name of an image that was skipped, whose own one is a path."""
    path = Path(image.name)
    folder = next((root / name for name in IMAGES.values() if path.is_relative_to(root / name)), path.parent)
    return name_in(folder, path)


def _words(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {_words(one)}" for name, one in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(map(_words, value))
    return "none" if value is None else str(value)
