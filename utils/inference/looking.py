"""What computes the features by which images are told from those that a network learnt from, quickly where OpenVINO is."""

import threading
from collections.abc import Callable

import numpy as np

from utils.device import optional
from utils.errors import InputError
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
    try:
        trunk = Trunk(weights.build(), weights.appearance.layer)
        if len(trunk.features(np.zeros((SIDE, SIDE, weights.spec.channels), np.uint8))) != len(
            weights.appearance.centre
        ):
            raise ValueError("centre")
    except ValueError as error:
        raise InputError(
            f"{weights.source}: damaged weights file (appearance: {error}); fetch or train it again"
        ) from None
    return _fastest(trunk)


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
    return layer, _fastest(trunk) if fast else _locked(trunk.features)


def _fastest(trunk: Trunk) -> Looking:
    return _by_openvino(trunk) or _locked(trunk.features)


def _locked(look: Looking) -> Looking:
    lock = threading.Lock()

    def locked(image: np.ndarray) -> np.ndarray:
        with lock:
            return look(image)

    return locked


def _by_openvino(trunk: Trunk) -> Looking | None:
    """Return the same by OpenVINO in f32, three times as fast; None where it is not installed or cannot."""
    try:
        openvino = optional("-backend openvino", "openvino")
        from utils.inference.export.graph import trunk_to_openvino
    except InputError:
        return None
    try:
        # One thread: a square is too small to be worth more. In f32, as it was measured.
        options = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 1, "NUM_STREAMS": 1}
        compiled = openvino.Core().compile_model(
            trunk_to_openvino(trunk), "CPU", {**options, "ENABLE_CPU_PINNING": False}
        )
        request = compiled.create_infer_request()
        example = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, trunk.model.spec.channels), np.uint8)

        def look(image: np.ndarray) -> np.ndarray:
            found: np.ndarray = request.infer([square_of(image)])[0][0]
            return found.astype(np.float64)

        expected = trunk.features(example)
        same = np.allclose(look(example), expected, rtol=1e-3, atol=1e-3 * np.abs(expected).max())
    except Exception:  # of whatever kind: torch does it too
        return None
    return _locked(look) if same else None
