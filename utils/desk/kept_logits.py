"""Logits on disk, of those pixels alone that some threshold may choose: a decision is made anew without the network.

Where no class has a probability of ``FLOOR``, no threshold from there on keeps the pixel, whatever its logits are exactly. The
others are kept to the last bit, so the decision is the one that the network's run would give.
"""

import io
import math

import numpy as np

FLOOR = 0.02  # probability; for lower thresholds the network is run again
MOST_KEPT = 0.25  # part of the pixels; where a network sees something everywhere, nothing is kept
NEVER = -100.0  # logit of what was left out; far below every threshold from FLOOR on


def pack(logits: np.ndarray, task: str) -> bytes | None:
    """Pack the logits of an image.

    Args:
        logits: ``(K, H, W)`` float32.
        task: as in ``masks.decide``.

    Returns:
        The bytes of an ``.npz`` file; None when too many pixels would have to be kept.
    """
    level = math.log(FLOOR / (1 - FLOOR))
    # Of a softmax p_c = 1 / (1 + sum of the others' exp(l - l_c)) is at most 1 / (1 + exp(l_0 - l_c)).
    lead = logits[1:].max(axis=0) - logits[0] if task == "multiclass" else logits.max(axis=0)
    wanted = lead >= level
    if np.count_nonzero(wanted) > MOST_KEPT * wanted.size:
        return None
    place = np.flatnonzero(wanted)
    packed = io.BytesIO()
    np.savez_compressed(
        packed,
        size=np.array(logits.shape, np.int64),
        place=np.diff(place, prepend=0).astype(np.int32),  # small numbers, which zlib likes
        values=logits.reshape(len(logits), -1)[:, place],
    )
    return packed.getvalue()


def unpack(packed: bytes, task: str) -> np.ndarray:
    """Return ``(K, H, W)`` float32 logits as ``pack`` kept them; the pixels left out are background.

    Raises:
        ValueError: damaged.
    """
    try:
        with np.load(io.BytesIO(packed), allow_pickle=False) as file:
            channels, height, width = (int(side) for side in file["size"])
            logits = np.full((channels, height * width), NEVER, np.float32)
            if task == "multiclass":
                logits[0] = -NEVER
            logits[:, np.cumsum(file["place"], dtype=np.int64)] = file["values"]
    except Exception as error:  # a zip that is cut off raises one of many
        raise ValueError(f"damaged logits: {error}") from None
    return logits.reshape(channels, height, width)


def serves(thresholds: tuple[float, ...]) -> bool:
    """Check whether kept logits decide by these thresholds as whole ones would."""
    return all(threshold >= FLOOR for threshold in thresholds)
