"""A cache folder of its own for each test, so that nothing of the user's is read or written."""

import numpy as np
import pytest

from utils.published.weights_file import find, load


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache/steel-defects/networks"


@pytest.fixture(scope="session")
def weights(make_weights):
    return load(find(make_weights()))


@pytest.fixture
def images() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (3, 40, 70, 3), dtype=np.uint8)
