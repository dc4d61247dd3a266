"""The encoder that clean steel is remembered by: that of a weights file, or published weights."""

import dataclasses
from pathlib import Path

from config import TrainConfig
from utils.errors import InputError
from utils.models.segmenter import Segmenter
from utils.models.spec import ANOMALY, ModelSpec
from utils.settings import given_fields, note_given
from utils.training.flags import make_spec
from utils.training.initial_weights import initial_network
from utils.weights.finding import choose, find, known_folder, list_weights
from utils.weights.index import INDEX, read_index
from utils.weights.weights_file import SYSTEM_SUFFIX, load


@dataclasses.dataclass(frozen=True)
class AnomalyEncoder:
    """A network that remembers nothing yet.

    Args:
        network: of task ``anomaly``, in evaluation mode.
        config: the settings, with the encoder's name.
        origin: in words, where the encoder is from.
        provenance: of that file, see ``InitialNetwork.origin``; None: none.
    """

    network: Segmenter
    config: TrainConfig
    origin: str
    provenance: dict | None


def open_encoder(config: TrainConfig) -> AnomalyEncoder:
    """Make a network with the encoder that ``-weights_dir``, or ``-encoder`` and ``-encoder_weights``, name.

    Raises:
        InputError: no such file, a system of networks, or an encoder without maps of 1/8 and 1/16 of the side.
    """
    words = f"{config.encoder} with the weights {config.encoder_weights}"
    if config.weights_dir is not None:
        path = _one_file(config.weights_dir)
        stored = load(path)
        if "channels" in given_fields(config) and config.channels != stored.spec.channels:
            raise InputError(
                f"-channels {config.channels}: the encoder of {path} sees {stored.spec.channels}; leave it out"
            )
        changed = dataclasses.replace(
            config, encoder=stored.spec.encoder, channels=stored.spec.channels, encoder_weights=str(path)
        )
        config, words = note_given(changed, given_fields(config)), f"{stored.spec.encoder} of {path}"
    spec: ModelSpec = make_spec(config, (ANOMALY,))
    start = initial_network(config, spec, None)
    return AnomalyEncoder(start.network.eval(), config, words, start.origin)


def _one_file(source: Path) -> Path:
    """Return the one weights file that ``-weights_dir`` means."""
    folder = known_folder(source)
    if folder.is_dir():
        files = list_weights(folder)
        index = read_index(folder / INDEX) if (folder / INDEX).is_file() else None
        if len(files) > 1 and choose(files, None, index) is None:
            names = ", ".join(file.name for file in files[:5])
            raise InputError(f"-weights_dir {source}: holds several weights files; name one of them ({names})")
    path = find(source)
    if path.name.endswith((SYSTEM_SUFFIX, ".json")):
        raise InputError(f"-weights_dir {path}: is a system of several networks; name the weights file of one of them")
    return path
