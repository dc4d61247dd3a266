"""What computes the features by which images are told from those that a network learnt from, quickly where OpenVINO is."""

import hashlib
import threading
from collections.abc import Callable

import numpy as np

from utils.device import optional
from utils.errors import InputError
from utils.inference.backends.store import Store
from utils.inference.openvino_core import openvino_core
from utils.models.trunk import SIDE, Trunk, layer_of, square_of
from utils.weights.system_file import SystemFile
from utils.weights.weights_file import WeightsFile

Looking = Callable[[np.ndarray], np.ndarray]  # (H, W, channels) uint8 -> (features,) float64, from any thread


def looking(weights: WeightsFile | SystemFile) -> Looking | None:
    """Return what computes the features of an image; None where the weights know none of their images.

    Args:
        weights: of a system the first network that says how its images look.

    Raises:
        InputError: the weights file is damaged.
    """
    if isinstance(weights, SystemFile):
        members = (member for member in weights.members.values() if member.appearance is not None)
        weights = next(members, weights)
    if isinstance(weights, SystemFile) or weights.appearance is None or weights.appearance.layer is None:
        return None
    layer, wanted = weights.appearance.layer, len(weights.appearance.centre)
    blank = np.zeros((SIDE, SIDE, weights.spec.channels), np.uint8)
    look = _by_openvino(weights, None, layer)
    if look is None or len(look(blank)) != wanted:
        try:
            look = _fastest(weights, Trunk(weights.build(), layer), layer)
            if len(look(blank)) != wanted:
                raise ValueError("centre")
        except ValueError as error:
            raise InputError(
                f"{weights.source}: damaged weights file (appearance: {error}); fetch or train it again"
            ) from None
    return look


def measuring(weights: WeightsFile, fast: bool = False) -> tuple[str | None, Looking | None]:
    """Return the layer whose features tell a network's images, and what computes them; None where it has no such layer.

    Args:
        weights: of the network.
        fast: as ``looking`` does it, by OpenVINO where it can. Whoever measures may train next, and loading processes that
            are forked beside OpenVINO's threads end the program: so it is torch unless it is said.
    """
    model = weights.build()
    layer = layer_of(model)
    if layer is None:
        return None, None
    trunk = Trunk(model, layer)
    return layer, _fastest(weights, trunk, layer) if fast else _locked(trunk.features)


def _fastest(weights: WeightsFile, trunk: Trunk, layer: str) -> Looking:
    return _by_openvino(weights, trunk, layer) or _locked(trunk.features)


def _locked(look: Looking) -> Looking:
    lock = threading.Lock()

    def locked(image: np.ndarray) -> np.ndarray:
        with lock:
            return look(image)

    return locked


def _by_openvino(weights: WeightsFile, trunk: Trunk | None, layer: str) -> Looking | None:
    """Return the same by OpenVINO in f32, three times as fast; None where it is not installed or cannot.

    Args:
        weights: whose.
        trunk: what is converted, compared and kept for later runs; None: what an earlier one has kept, which spares building
            the network.
        layer: of the trunk.
    """
    try:
        openvino = optional("-backend openvino", "openvino")
        from utils.inference.export.graph import trunk_to_openvino
    except InputError:
        return None
    try:
        core, store = openvino_core(), Store(weights)
        name = f"openvino-{openvino.__version__.split('-')[0]}-trunk-{hashlib.sha256(layer.encode()).hexdigest()[:8]}"
        graph = trunk_to_openvino(trunk) if trunk else store.read_openvino(core, name)
        if graph is None:
            return None
        # One thread: a square is too small to be worth more. In f32, as it was measured.
        options = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 1, "NUM_STREAMS": 1}
        compiled = core.compile_model(graph, "CPU", {**options, "ENABLE_CPU_PINNING": False})
        request = compiled.create_infer_request()

        def look(image: np.ndarray) -> np.ndarray:
            found: np.ndarray = request.infer([square_of(image)])[0][0]
            return found.astype(np.float64)

        if trunk:
            example = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, weights.spec.channels), np.uint8)
            expected = trunk.features(example)
            if not np.allclose(look(example), expected, rtol=1e-3, atol=1e-3 * np.abs(expected).max()):
                return None
            store.keep_openvino(name, graph)
    except Exception:  # of whatever kind: torch does it too
        return None
    return _locked(look)
