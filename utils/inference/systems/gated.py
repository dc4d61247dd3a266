"""Systems whose networks decide, image by image, whether the next one has anything to do."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch

from utils.decision.gate import Gate
from utils.decision.probabilities import label_probabilities
from utils.inference.network import Network, Outputs
from utils.inference.systems.system import Answer, Batch, Size
from utils.weights.system_file import SystemFile

# Logits of a class that the gate has turned away. Not infinite: resizing would make 0 * inf = nan of it.
OFF = -1e4
# No defect is as large as this, so that a class that was turned away is empty whatever its threshold.
NEVER = 2**31 - 1


class _Gated:
    """What the systems have in common.

    Args:
        file: the system file.
        networks: its members, ready to run, by role.
        min_areas: per scored class, smallest defect in pixels; those of the file unless a flag overrules them.
    """

    def __init__(self, file: SystemFile, networks: Mapping[str, Network], min_areas: Sequence[int]) -> None:
        self.gate = file.gate
        self.networks = dict(networks)
        self.min_areas = tuple(min_areas)
        self.size_of: dict[str, Size] = {role: member.input_size for role, member in file.members.items()}
        self.sizes = tuple(dict.fromkeys(self.size_of.values()))
        self.parallel = min(network.parallel for network in networks.values())
        self.channels, self.task = file.spec.channels, file.spec.task
        self.classes = len(file.spec.scored_names)
        self.kind = file.kind

    @property
    def name(self) -> str:
        """Kind of the system and names of its networks."""
        names = dict.fromkeys(network.name for network in self.networks.values())
        return f"{self.kind}, {' and '.join(names)}"

    def _passes(self, probabilities: np.ndarray, gates: bool) -> np.ndarray:
        """Return which classes of which images may have a mask: (N, C) bool."""
        gate = self.gate if gates else self.gate.opened()
        return gate.passes(probabilities, self.classes)

    def _answers(
        self, drawn: Sequence[torch.Tensor | None], probabilities: np.ndarray, passes: np.ndarray, gates: bool
    ) -> list[Answer]:
        """Make the answers about a batch, see ``_answer``."""
        parts = zip(drawn, probabilities, passes, strict=True)
        return [self._answer(masks, of_image, of_classes, gates) for masks, of_image, of_classes in parts]

    def _answer(self, masks: torch.Tensor | None, probabilities: np.ndarray, passes: np.ndarray, gates: bool) -> Answer:
        """Make the answer about one image.

        Args:
            masks: ``(K, h, w)`` logits; none when no network drew any.
            probabilities: ``(L,)`` of the image.
            passes: ``(C,)`` bool.
            gates: whether the gate closes anything.
        """
        if not gates:
            return Answer(masks, probabilities, None)
        if masks is None or not passes.any():
            return Answer(None, probabilities, None)
        if passes.all() and self.gate.mode == "hard":
            return Answer(masks, probabilities, None)
        areas = np.where(passes, self.gate.areas(self.min_areas, probabilities), NEVER)
        if not passes.all():
            masks = switch_off_classes(masks, passes, self.task)
        return Answer(masks, probabilities, tuple(map(int, areas)))


class TwoStage(_Gated):
    """An image classifier, and a segmenter for the images that pass it."""

    def answer(self, batch: Batch, gates: bool = True) -> list[Answer]:
        """Judge a batch, see ``System``."""
        probabilities = _judged(self.networks["classifier"](batch[self.size_of["classifier"]]))
        passes = self._passes(probabilities, gates)
        drawn = run_on(self.networks["segmenter"], batch[self.size_of["segmenter"]], np.any(passes, axis=1))
        return self._answers(drawn, probabilities, passes, gates)


class Joint(_Gated):
    """One network with masks and labels: two heads that were trained together, or a decoder on a shared backbone.

    The gate goes to the network: a shared backbone decodes only the images that pass.
    """

    def answer(self, batch: Batch, gates: bool = True) -> list[Answer]:
        """Judge a batch, see ``System``."""
        choose = self._choose if gates else None
        outputs = self.networks["network"](batch[self.size_of["network"]], choose)
        probabilities = _judged(outputs)
        passes = self._passes(probabilities, gates)
        drawn = spread(outputs.masks, np.any(passes, axis=1))
        return self._answers(drawn, probabilities, passes, gates)

    def _choose(self, labels: torch.Tensor) -> torch.Tensor:
        passes = self._passes(label_probabilities(labels), True)
        return torch.from_numpy(np.any(passes, axis=1)).to(labels.device)


class SixModel(_Gated):
    """A defect-or-not classifier for all images, a classifier of classes for what passes it, a segmenter for each class.

    A class that was not asked about, since its image did not pass, has probability 0.
    """

    def answer(self, batch: Batch, gates: bool = True) -> list[Answer]:
        """Judge a batch, see ``System``."""
        gate = self.gate if gates else self.gate.opened()
        any_defect = _judged(self.networks["binary"](batch[self.size_of["binary"]]))
        count = len(any_defect)
        probabilities = np.zeros((count, 1 + self.classes), dtype=np.float32)
        probabilities[:, :1] = any_defect
        first = Gate(image=gate.image).passes(any_defect, 1)[:, 0]
        if first.any():
            images = np.ascontiguousarray(batch[self.size_of["multilabel"]][first])
            probabilities[first, 1:] = _judged(self.networks["multilabel"](images))
        passes = gate.passes(probabilities, self.classes)
        drawn: list[torch.Tensor | None] = [None] * count
        for channel in range(self.classes):
            role = f"segmenter-{channel + 1}"
            one = run_on(self.networks[role], batch[self.size_of[role]], passes[:, channel])
            for index, masks in enumerate(one):
                if masks is not None:
                    if drawn[index] is None:
                        drawn[index] = masks.new_full((self.classes, *masks.shape[1:]), OFF)
                    drawn[index][channel] = masks[0]  # type: ignore[index]
        return self._answers(drawn, probabilities, passes, gates)


def switch_off_classes(masks: torch.Tensor, passes: np.ndarray, task: str) -> torch.Tensor:
    """Return a copy of ``(K, H, W)`` logits without the classes that did not pass, ``passes`` being ``(C,)`` bool.

    Of ``multiclass`` that changes the other classes too: what is likeliest of those that are left takes the pixels.
    """
    masks = masks.clone()  # the batch's own memory may be the backend's
    masks[task == "multiclass" :][torch.from_numpy(~passes).to(masks.device)] = OFF
    return masks


def run_on(network: Network, images: np.ndarray, chosen: np.ndarray) -> list[torch.Tensor | None]:
    """Run a segmenter on some images of a batch.

    Args:
        network: the segmenter.
        images: ``(N, H, W, channels)`` uint8.
        chosen: ``(N,)`` bool.

    Returns:
        N times ``(K, H, W)`` logits, or none where an image was not chosen.
    """
    if not chosen.any():
        return [None] * len(chosen)
    return spread(network(images if chosen.all() else np.ascontiguousarray(images[chosen])).masks, chosen)


def spread(masks: torch.Tensor | None, chosen: np.ndarray) -> list[torch.Tensor | None]:
    """Put the masks of the chosen images, ``(chosen, K, H, W)``, back to their places among all."""
    rest = iter(() if masks is None else masks)
    return [next(rest) if one else None for one in chosen]


def _judged(outputs: Outputs) -> np.ndarray:
    """Return the probabilities of a batch's images, ``(N, L)``."""
    assert outputs.labels is not None, "the system file was checked: this network has labels"
    return label_probabilities(outputs.labels)
