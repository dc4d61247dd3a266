"""Find the defects of images: of a folder, or of any number in shards."""

from typing import TYPE_CHECKING

from config import PredictConfig
from utils.commands.predict_shards import ShardsResult, in_shards, predict_shards

if TYPE_CHECKING:
    from utils.commands.predict_folder import PredictResult


def predict(config: PredictConfig) -> "PredictResult | ShardsResult":
    """Find defects in a dataset folder, a folder of images or a single image; or in shards, where the flags ask for it.

    Args:
        config: the flags of ``Predict_masks.py``.

    Returns:
        What was found and where it was written.

    Raises:
        InputError: flags, weights or images are at fault; nothing was written then.
    """
    if in_shards(config):
        return predict_shards(config)
    from utils.commands.predict_folder import predict_folder  # whose imports take longer than to look through shards

    return predict_folder(config)
