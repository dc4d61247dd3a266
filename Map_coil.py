"""Map a coil: where each defect lies on the strip, what repeats, and a verdict with its reasons."""

from collections.abc import Sequence

from config import MapCoilConfig
from utils.cli import DONE, SOME_SKIPPED, parse, run


def main(argv: Sequence[str]) -> int:
    """Map the coil, print what was found, and say by the exit code whether images were skipped."""
    about = "Maps a coil: where each defect lies on the strip, what repeats, and a verdict with its reasons."
    config = parse(MapCoilConfig, argv, "Map_coil.py", about)
    from utils.commands.map_coil import map_coil

    result = map_coil(config)
    print(result.text())
    return SOME_SKIPPED if result.skipped else DONE


if __name__ == "__main__":
    run(main)
