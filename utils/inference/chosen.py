"""The weights that the flags of a command name, and what these flags overrule."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from config import EvaluateConfig, MapCoilConfig, PredictConfig
from utils.data.bit_depth import BitDepth
from utils.decision.decision import Decision, each
from utils.errors import InputError
from utils.models.class_names import called, renamed
from utils.weights.finding import open_weights
from utils.weights.system_file import SystemFile
from utils.weights.torch_file import digest
from utils.weights.weights_file import WeightsFile


@dataclass(frozen=True)
class Chosen:
    """The weights file or system file that the flags name.

    Attributes:
        path: the file; of networks that ``-weights_dir`` puts together, where theirs would be.
        sha8: first 8 hex digits of its sha256.
        weights: its content.
        decision: its thresholds and areas, or those of the flags.
        tta: ``none``, ``flips`` or ``d4``; the system file's unless the flag says otherwise.
        tile: height and width of the tiles that images are cut into; none: whole images.
        label_thresholds: per label of the whole image, probability 0..1 from which an image has it.
        depth: how images with more than 8 bits become 0..255: the flag's, else that of the training; what both leave
            open is measured on the images.
        class_map: what the data calls the classes, where that is not what the weights call them.
    """

    path: Path
    sha8: str
    weights: WeightsFile | SystemFile
    decision: Decision
    tta: str = "none"
    tile: tuple[int, int] | None = None
    label_thresholds: tuple[float, ...] = ()
    depth: BitDepth = BitDepth()
    class_map: tuple[str, ...] | None = None

    @property
    def assembled(self) -> bool:
        """Whether ``-weights_dir`` puts networks together, so that there is no file yet."""
        return isinstance(self.weights, SystemFile) and self.weights.assembled

    @property
    def folders(self) -> tuple[Path, ...]:
        """The folder of the file; where ``-weights_dir`` puts networks together, that of each."""
        if not (isinstance(self.weights, SystemFile) and self.assembled):
            return (self.path.parent,)
        sources = [member.source for member in self.weights.members.values()]
        return tuple(dict.fromkeys(source.parent for source in sources if source is not None))

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the masks, as the data calls them."""
        return called(self.weights.spec.scored_names, self.class_map)

    @property
    def label_names(self) -> tuple[str, ...]:
        """Names of the probabilities of the whole image, as the data calls them; () when no network has any."""
        own = self.weights.label_names if isinstance(self.weights, SystemFile) else self.weights.spec.label_names
        return called(own, self.class_map)

    def depth_in_words(self, used: BitDepth) -> str:
        """Return how images with more than 8 bits were read; empty when nothing was known of any or measured.

        Args:
            used: the depth that they were read by.
        """
        if used == self.depth:
            return used.text()
        return f"{used.text()}, measured on these images; -bit_depth overrules it"

    def to_dict(self) -> dict[str, Any]:
        """Return what a summary says about the network and its decision, as plain words and numbers."""
        spec = self.weights.spec
        names = self.class_names
        system = self.weights.to_dict() if isinstance(self.weights, SystemFile) else {}
        labels = dict(zip(self.label_names, self.label_thresholds, strict=True))
        return {
            "weights": self.path.name,
            "sha8": self.sha8,
            **system,
            "tta": self.tta,
            "tile": list(self.tile) if self.tile else None,
            "architecture": spec.architecture,
            "encoder": spec.encoder,
            "task": spec.task,
            "classes": list(names),
            "input_size": list(self.weights.input_size) if self.weights.input_size else None,
            **self.decision.to_dict(names),
            **({"label_thresholds": labels} if labels else {}),
        }


def choose_weights(config: PredictConfig | EvaluateConfig | MapCoilConfig) -> Chosen:
    """Find and read the weights file, and let the flags overrule its thresholds.

    Raises:
        InputError: no such file, not a weights file, or a flag out of its range.
    """
    for name, probability in (("threshold", config.threshold), ("high_threshold", config.high_threshold)):
        for one in _values(probability):
            if not 0 <= one <= 1:
                raise InputError(f"-{name} {one:g}: expected a probability 0..1")
    for name, value, least in (
        ("min_area", config.min_area, 0),
        ("max_area", config.max_area, 0),
        ("num_of_images", config.num_of_images, 0),
        ("batch_size", config.batch_size, 1),
    ):
        for one in _values(value):
            if one < least:
                raise InputError(f"-{name} {one}: expected {least} or more")
    weights = open_weights(config.weights_dir, config.weights)
    path = weights.source
    assert path is not None
    renamed(weights.spec.class_names, config.class_map)  # refuses what does not fit
    names = weights.spec.scored_names
    decision = weights.decision.overruled(
        config.threshold, config.min_area, config.max_area, config.high_threshold, names
    )
    decision.check_areas(names)
    stored = weights.tta if isinstance(weights, SystemFile) else "none"
    tta = stored if config.tta == "stored" else config.tta
    labels = weights.label_thresholds
    if config.threshold is not None and weights.spec.is_classifier:
        labels = each("threshold", config.threshold, len(labels), weights.spec.label_names)
    depth = depth_of(weights, config.bit_depth)
    return Chosen(
        path, (weights.sha256 or digest(path))[:8], weights, decision, tta, config.tile, labels, depth, config.class_map
    )


def depth_of(weights: WeightsFile | SystemFile, asked: str) -> BitDepth:
    """Return the bit depth that a network was trained with, or that of the flag ``-bit_depth``."""
    return BitDepth(weights.bit_depth, weights.float_white).overruled(asked)


def _values(given: Any) -> tuple[Any, ...]:
    """Return the values of a flag that takes one or one a class; none: it was not given."""
    return () if given is None else given if isinstance(given, tuple) else (given,)
