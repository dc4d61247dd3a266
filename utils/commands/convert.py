"""Convert between layouts of labels; the labels may be what a network proposes."""

from typing import TYPE_CHECKING

from config import ConvertConfig
from utils.data.convert import ConvertSummary
from utils.data.convert import convert as write
from utils.errors import InputError

if TYPE_CHECKING:
    from utils.data.convert.labels import Labels


def convert(config: ConvertConfig) -> ConvertSummary:
    """Convert labels, see ``utils.data.convert``; with ``-weights_dir``, what its network finds in the images.

    Args:
        config: the flags of ``Prepare_data.py convert``.

    Raises:
        InputError: flags, labels, images or weights are at fault; nothing was written then.
    """
    if config.source == "network" and config.weights_dir is None:
        raise InputError("convert -from network needs -weights_dir, the network that proposes")
    if config.weights_dir is None or config.source not in ("network", "dataset"):
        return write(config)  # where the flag means nothing, it is refused there
    return write(config, _propose)


def _propose(config: ConvertConfig) -> "Labels":
    from utils.commands.proposals import propose  # whose imports take longer than to refuse a folder that exists

    return propose(config)
