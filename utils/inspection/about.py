"""What is loaded: one weights file or system, in the words of the API and the page, and what its answers mean."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from utils.decision.decision import Decision
from utils.decision.gate import Gate
from utils.inference.chosen import Chosen
from utils.inference.inspected import Inspected
from utils.reporting.overlays import class_label
from utils.weights.index import INDEX, bare, read_index
from utils.weights.measured import of_file
from utils.weights.system_file import SystemFile


@dataclass(frozen=True)
class About:
    """What is loaded.

    Attributes:
        name: of the weights or system, without the digits of the sha256.
        file: the file's name.
        kind: ``network`` or ``system``.
        class_names: of the masks; () for a classifier of whole images.
        decision: how logits become masks.
        label_names: of the probabilities of the whole image; () when no network judges it.
        label_thresholds: per label, probability 0..1 from which an image has it.
        first_class: number of the first class in tables; another than 1 for a network of one class.
        task: of the masks.
        card: what its card says, markdown; None without one.
        scores: as the index or the file has them: by the data they were measured on, or plain. Those of other thresholds
            than the file's have ``measured_with``.
        backend: what runs it, for people; "auto" before the first image where that is still to be measured.
        gate: of a system; None for a network.
        sha8: first 8 hex digits of the file's sha256; "" where nobody computed it.
    """

    name: str
    file: str
    kind: str
    class_names: tuple[str, ...]
    decision: Decision
    label_names: tuple[str, ...]
    label_thresholds: tuple[float, ...]
    first_class: int
    task: str
    card: str | None
    scores: dict[str, Any]
    backend: str
    gate: Gate | None = field(default=None, repr=False)
    sha8: str = ""

    @classmethod
    def of(cls, chosen: Chosen) -> "About":
        """Describe the weights that the flags name."""
        weights, path = chosen.weights, chosen.path
        name = bare(path.name.removesuffix(".pth").removesuffix(".system.json"))
        card = path.with_name(f"{name}.md")
        index = path.with_name(INDEX)
        entry = read_index(index).find(path.name) if index.is_file() else None
        return cls(
            name=name,
            file=path.name,
            kind="system" if isinstance(weights, SystemFile) else "network",
            class_names=chosen.class_names,
            decision=chosen.decision,
            label_names=chosen.label_names,
            label_thresholds=chosen.label_thresholds,
            first_class=weights.spec.first_class,
            task=weights.spec.task,
            card=card.read_text("utf-8") if card.is_file() else None,
            scores=entry.scores if entry else of_file(weights.metrics, weights.provenance),
            backend="auto",
            gate=weights.gate if isinstance(weights, SystemFile) and weights.has_gate else None,
            sha8=chosen.sha8,
        )

    def is_of(self, other: "About") -> bool:
        """Check whether both are of the same file: a name may have been given to another one since."""
        return self.file == other.file and (self.sha8 == other.sha8 or not (self.sha8 and other.sha8))

    @property
    def class_ids(self) -> range:
        """The numbers of the classes in tables."""
        return range(self.first_class, self.first_class + len(self.class_names))

    def found(self, inspected: Inspected) -> tuple[str, ...]:
        """Return the classes found in an image, in their order; of a classifier of whole images, the labels it gives."""
        if self.class_names:
            return tuple(self.class_names[index - 1] for index in np.unique(inspected.defects["class_id"]))
        if inspected.labels is None:
            return ()
        has = inspected.labels >= np.asarray(self.label_thresholds)
        return tuple(label for label, there in zip(self.label_names, has, strict=True) if there)

    def verdict(self, inspected: Inspected) -> str:
        """Return ``clean`` or ``defective``."""
        return "defective" if self.found(inspected) else "clean"

    def doubt(self, labels: np.ndarray | None, found: Sequence[str]) -> str | None:
        """Say what speaks against an image in which no defect was found; None when nothing does.

        Args:
            labels: (L,) probabilities of the image as a whole; None when no network judges it.
            found: the classes found in the image.
        """
        if labels is None or found or not self.class_names or labels.max(initial=0) < 0.5:
            return None
        index = int(labels.argmax())
        name, probability, threshold = self.label_names[index], float(labels[index]), self.label_thresholds[index]
        reason = (
            f"below the gate's threshold of {threshold:.2f}"
            if probability < threshold
            else "no pixel passed the decision"
        )
        return f"{class_label(name, index)} has a probability of {probability:.2f} in the image, but {reason}"
