"""Watch a line: frames from cameras and folders in, verdicts to the plant's systems out, for months."""

from collections.abc import Sequence

from config import WatchConfig
from utils.cli import DONE, parse, run


def main(argv: Sequence[str]) -> int:
    """Watch until SIGTERM, Ctrl-C, or the end of the last source."""
    about = "Inspects each frame of a line once, and tells the plant's systems: OK, NG or no verdict, and why."
    config = parse(WatchConfig, argv, "Watch_line.py", about)
    from utils.commands.watch_line import watch_line

    result = watch_line(config)
    print(result.text())
    return DONE


if __name__ == "__main__":
    run(main, at_once=True)
