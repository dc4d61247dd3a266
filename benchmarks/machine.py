"""What a benchmark's figures belong to: the hardware, the versions, the threads; and the CSV beside the script."""

import csv
import importlib.metadata
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from utils.device import processor


def facts(threads: int, *packages: str) -> dict[str, Any]:
    """Return what a row of figures needs to be understood elsewhere.

    Args:
        threads: of the network or of whatever is measured.
        packages: whose versions matter.
    """
    versions = {name: importlib.metadata.version(name) for name in packages}
    return {"cpu": processor(), "cores": os.cpu_count(), "threads": threads, **versions}


def here(threads: int) -> dict[str, str]:
    """Return what of ``facts`` tells whether a row was measured on this machine, as a CSV has it."""
    return {"cpu": processor(), "threads": str(threads)}


def find_rows(path: Path, key: Mapping[str, Any]) -> list[dict[str, str]]:
    """Return the rows of a CSV that have these values; none when there is no such file."""
    if not path.exists():
        return []
    with open(path, newline="", encoding="utf-8") as file:
        return [row for row in csv.DictReader(file) if all(row.get(name) == str(value) for name, value in key.items())]


def write_rows(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    """Append rows of equal keys to a CSV, whose folder is made; a file of other columns is replaced."""
    columns = list(rows[0])
    path.parent.mkdir(parents=True, exist_ok=True)
    fits = path.exists() and path.read_text(encoding="utf-8").splitlines()[:1] == [",".join(columns)]
    with open(path, "a" if fits else "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, lineterminator="\n")
        if not fits:
            writer.writeheader()
        writer.writerows(rows)
