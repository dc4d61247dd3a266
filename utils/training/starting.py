"""The network that a training starts from."""

from pathlib import Path

from config import TrainConfig
from utils.errors import InputError
from utils.models.factory import build, encoder_name
from utils.models.segmenter import Segmenter
from utils.models.spec import ModelSpec
from utils.published.weights_file import WeightsFile, load

ENCODER = "encoder."


def starting_network(config: TrainConfig, spec: ModelSpec, resumed: bool) -> tuple[Segmenter, list[str]]:
    """Make the network with the weights that ``-encoder_weights`` and ``-init_encoder`` name.

    Args:
        config: these two flags are used; ``-init_encoder`` comes last and wins.
        spec: what to make.
        resumed: the weights come from a checkpoint later, the files of these flags are not needed any more.

    Returns:
        The network, and lines for the user about what was taken from where.

    Raises:
        InputError: no such file, or nothing in it fits.
    """
    given = config.encoder_weights
    notes: list[str] = []
    if resumed:
        return build(spec), notes
    if given in ("imagenet", "none"):
        network = build(spec, None if given == "none" or config.init_encoder else given)
    else:
        network = build(spec)
        stored = _fitting_file("-encoder_weights", Path(given), spec, "imagenet, none or a weights file")
        _take(network, stored, "")
    if config.init_encoder is not None:
        stored = _fitting_file("-init_encoder", config.init_encoder, spec, "a weights file of this project")
        taken = _take(network, stored, ENCODER)
        whole = sum(name.startswith(ENCODER) for name in network.net.state_dict())
        notes.append(f"encoder from {config.init_encoder} ({stored.spec.task}): {taken} of its {whole} tensors taken")
    return network, notes


def _fitting_file(flag: str, path: Path, spec: ModelSpec, choices: str) -> WeightsFile:
    if not path.is_file():
        raise InputError(f"{flag} {path}: no such file; choose {choices}")
    stored = load(path)
    if encoder_name(stored.spec.encoder) != encoder_name(spec.encoder) or stored.spec.channels != spec.channels:
        raise InputError(
            f"{flag} {path}: is for -encoder {stored.spec.encoder} -channels"
            f" {stored.spec.channels}; nothing in it fits {spec.encoder}"
        )
    return stored


def _take(network: Segmenter, stored: WeightsFile, prefix: str) -> int:
    """Copy the tensors whose names begin with ``prefix`` and whose names and shapes fit; give their number."""
    wanted = network.net.state_dict()
    fitting = {
        name: tensor
        for name, tensor in stored.state_dict.items()
        if name.startswith(prefix) and name in wanted and tensor.shape == wanted[name].shape
    }
    network.net.load_state_dict(fitting, strict=False)
    return len(fitting)
