"""Where a weights file comes from: the data, the code and the libraries."""

import hashlib
import subprocess
from pathlib import Path
from typing import Any

from config import TrainConfig
from utils.data.dataset_folder import Dataset
from utils.device import versions
from utils.settings import to_plain
from utils.weights.run_files import PLACES


def run_provenance(config: TrainConfig, dataset: Dataset) -> dict[str, Any]:
    """Return where the result of a run comes from: its settings but those that say where files are, data, code, libraries."""
    return {
        "config": {key: value for key, value in to_plain(config).items() if key not in PLACES},
        "data_fingerprint": data_fingerprint(dataset),
        "git_commit": git_commit(),
        "versions": versions(),
    }


def data_fingerprint(dataset: Dataset) -> str:
    """Return 16 hex digits that change when an image's name or size in bytes or any label changes."""
    digest = hashlib.sha256()
    for name in dataset.images:
        digest.update(f"{name} {dataset.path(name).stat().st_size}\n".encode())
    for row in dataset.annotations.rows.itertuples(index=False):
        digest.update(f"{row.image} {row.class_id} {row.rle}\n".encode())
    for name, code in sorted(dataset.annotations.ignored.items()):
        digest.update(f"{name} ignored {code}\n".encode())
    return digest.hexdigest()[:16]


def git_commit() -> str:
    """Return the commit of this program, with ``+`` behind it when files were changed since; ``unknown`` outside git."""
    root = Path(__file__).parents[2]
    try:
        commit = _git(root, "rev-parse", "HEAD")
        return commit + ("+" if _git(root, "status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.SubprocessError):
        return "unknown"


def _git(root: Path, *words: str) -> str:
    return subprocess.run(
        ["git", "-C", str(root), *words], check=True, capture_output=True, text=True, timeout=10
    ).stdout.strip()
