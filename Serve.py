"""Serve the inspector: a page for people and an HTTP API for the line."""

from collections.abc import Sequence

from config import ServeConfig
from utils.cli import DONE, parse, run


def main(argv: Sequence[str]) -> int:
    """Serve until SIGTERM or Ctrl-C."""
    config = parse(ServeConfig, argv, "Serve.py", "Serves a page and an HTTP API that find defects in images.")
    from utils.commands.serve import serve

    serve(config)
    return DONE


if __name__ == "__main__":
    run(main, at_once=True)
