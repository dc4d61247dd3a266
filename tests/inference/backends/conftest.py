"""A cache folder that is not the user's; converting takes seconds, so tests share what is converted."""

import numpy as np
import pytest

from utils.weights.finding import find
from utils.weights.weights_file import load


@pytest.fixture(scope="session")
def shared_cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(autouse=True)
def _cache(shared_cache, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(shared_cache))


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache folder for one test; gives the folder of networks in it."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache/steel-defects/networks"


@pytest.fixture(scope="session")
def weights(make_weights):
    return load(find(make_weights()))


@pytest.fixture
def images() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (3, 40, 70, 3), dtype=np.uint8)
