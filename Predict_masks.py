"""Find defects in images: overlays, masks and tables from a folder of images and a weights file."""

from collections.abc import Sequence

from config import PredictConfig
from utils.cli import DONE, SOME_SKIPPED, parse, run


def main(argv: Sequence[str]) -> int:
    """Predict, print what was found, and say by the exit code whether images were skipped."""
    config = parse(PredictConfig, argv, "Predict_masks.py", "Finds defects in images and writes what it found.")
    from utils.commands.predict import predict

    result = predict(config)
    if said := result.text():
        print(said)
    return SOME_SKIPPED if result.skipped else DONE


if __name__ == "__main__":
    run(main)
