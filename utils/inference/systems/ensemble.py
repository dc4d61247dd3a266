"""Networks that all answer about every image: the mean of their logits."""

from collections.abc import Mapping, Sequence

import torch

from utils.decision.masks import resize_logits
from utils.inference.network import Network, Outputs
from utils.inference.systems.single import answers
from utils.inference.systems.system import Answer, Batch, Size
from utils.weights.same_classes import channel_order
from utils.weights.system_file import SystemFile


class Ensemble:
    """Networks of any architecture and size whose logits are averaged, one running after the other.

    Logits and not probabilities, as in ``utils/inference/tta.py``: thresholds are applied to logits. The logits of networks
    that see images at different sizes are brought to the image's own size before, as those of a single network are before
    it is decided.

    Args:
        file: the system file.
        networks: its members, ready to run, by role. Labels of whole images, which some have, are left aside.
        min_areas: as for other systems; no gate changes them here.
    """

    def __init__(self, file: SystemFile, networks: Mapping[str, Network], min_areas: Sequence[int]) -> None:
        self.networks = dict(networks)
        weights = file.member_weights or (1.0,) * len(file.members)
        self.weight_of = dict(zip(file.members, weights, strict=True))
        self.size_of: dict[str, Size] = {role: member.input_size for role, member in file.members.items()}
        sizes = tuple(dict.fromkeys(self.size_of.values()))
        self.own_size = len(sizes) > 1
        # The images at their own size tell how large that is.
        self.sizes: tuple[Size, ...] = tuple(dict.fromkeys((*sizes, None))) if self.own_size else sizes
        self.parallel = min(network.parallel for network in networks.values())
        self.channels, self.task = file.spec.channels, file.spec.task
        first = next(iter(file.members.values())).spec
        self.order_of = {role: channel_order(first, member.spec) for role, member in file.members.items()}

    @property
    def name(self) -> str:
        """Number of the networks, and their names."""
        names = dict.fromkeys(network.name for network in self.networks.values())
        return f"ensemble of {len(self.networks)}, {' and '.join(names)}"

    def answer(self, batch: Batch, gates: bool = True) -> list[Answer]:
        """Judge a batch, see ``System``; there is no gate."""
        total: torch.Tensor | None = None
        for role, weight in self.weight_of.items():
            if weight == 0:
                continue
            logits = self._logits(role, batch) * weight
            total = logits if total is None else total + logits.to(total.device)
        assert total is not None, "the system file was checked: a weight is above 0"
        mean = total / sum(self.weight_of.values())
        return answers(Outputs(mean, None), len(mean))

    def _logits(self, role: str, batch: Batch) -> torch.Tensor:
        """Run one network: ``(N, K, h, w)`` logits, the classes in the first network's order."""
        logits = self.networks[role](batch[self.size_of[role]]).masks
        assert logits is not None, "the system file was checked: this network has masks"
        order = self.order_of[role]
        if order != tuple(range(len(order))):
            logits = logits[:, list(order)]
        return resize_logits(logits, *batch[None].shape[1:3]) if self.own_size else logits
