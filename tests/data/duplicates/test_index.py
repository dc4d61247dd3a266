import numpy as np
import pytest

from utils.data.duplicates import index
from utils.data.duplicates.index import nearest


def unit(rng, count, size=16):
    vectors = rng.normal(size=(count, size)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def noisy(rng, vectors):
    changed = vectors + rng.normal(scale=0.02, size=vectors.shape).astype(np.float32)
    return changed / np.linalg.norm(changed, axis=1, keepdims=True)


@pytest.mark.parametrize("exact", [True, False])
def test_the_nearest_are_found_in_order_and_again(exact, monkeypatch):
    rng = np.random.default_rng(0)
    vectors = unit(rng, 3000)
    queries = noisy(rng, vectors)
    monkeypatch.setattr(index, "EXACT", 10**6 if exact else 100)
    found, products = nearest(vectors, queries, 3, 2)
    assert (found[:, 0] == np.arange(3000)).mean() > 0.99
    assert (np.diff(products, axis=1) <= 0).all()
    np.testing.assert_allclose(products[:, 0], (vectors[found[:, 0]] * queries).sum(axis=1), rtol=1e-5)
    again, _ = nearest(vectors, queries, 3, 1)
    np.testing.assert_array_equal(found, again)


def test_where_there_are_fewer_the_rest_is_marked():
    vectors = unit(np.random.default_rng(1), 2)
    found, _ = nearest(vectors, vectors, 4, 1)
    assert found.tolist() == [[0, 1, -1, -1], [1, 0, -1, -1]]
