"""From a weights file or a system file to networks that are ready to work together."""

from collections.abc import Callable, Sequence

from utils.errors import InputError
from utils.inference.network import Network
from utils.inference.systems.ensemble import Ensemble
from utils.inference.systems.gated import Joint, SixModel, TwoStage
from utils.inference.systems.single import SingleNetwork
from utils.inference.systems.system import System
from utils.inference.tiled_views import TiledViews
from utils.inference.tiles import Tiled, TiledWhereLarge
from utils.inference.tta import VIEWS, Augmented
from utils.weights.system_file import SystemFile
from utils.weights.weights_file import WeightsFile

SYSTEMS: dict[str, type[TwoStage | Joint | SixModel | Ensemble]] = {
    "two-stage": TwoStage,
    "six-model": SixModel,
    "ensemble": Ensemble,
    "two-head": Joint,
    "shared-backbone": Joint,
}


def make_system(
    weights: WeightsFile | SystemFile,
    open_one: Callable[[WeightsFile], Network],
    min_areas: Sequence[int],
    tta: str = "none",
    tile: tuple[int, int] | None = None,
) -> System:
    """Make a weights file, or all members of a system file, ready to run.

    Args:
        weights: what was read.
        open_one: makes one network ready to run.
        min_areas: per scored class, smallest defect in pixels, from which a soft gate starts.
        tta: ``flips`` or ``d4`` let every network look from other sides too, see ``utils/inference/tta.py``; ``none``.
        tile: height and width of tiles that networks of masks see an image in, see ``utils/inference/tiles.py``;
            a system's classifiers keep the whole image. None: large images alone are cut, for networks that see them at
            their own size.

    Raises:
        InputError: tiles for a network that judges whole images, alone or beside its masks.
    """

    def ready(member: WeightsFile) -> Network:
        cut = tile
        if tile and member.spec.labels:
            if not (isinstance(weights, SystemFile) and member.spec.is_classifier):
                raise InputError("-tile: a network with labels judges whole images; leave it out")
            cut = None
        network = open_one(member)
        if cut:
            # Half of the views leave out more of the border than one tile may: they are cut each by itself.
            network = TiledViews(network, cut, tta) if tta in VIEWS else Tiled(network, cut)
            return network if tta == "none" or tta in VIEWS else Augmented(network, tta)
        if not member.spec.labels and member.input_size is None:
            network = TiledWhereLarge(network)
        return network if tta == "none" else Augmented(network, tta)

    if isinstance(weights, SystemFile):
        networks = {role: ready(member) for role, member in weights.members.items()}
        return SYSTEMS[weights.kind](weights, networks, min_areas)
    return SingleNetwork(ready(weights), weights.spec, weights.input_size)
