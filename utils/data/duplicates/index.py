"""Nearest neighbours among very many short vectors, by Faiss."""

import os
import sys

import numpy as np

EXACT = 20_000  # vectors up to which comparing with all of them is quick enough
LISTS, PER_LIST = 4096, 64  # most lists of an inverted file, and vectors that one is meant to hold
PROBES = 8  # lists that are searched; measured: 99.9 % of what comparing with all finds
TRAINED = 40  # vectors a list that k-means sees
STEPS = 6  # of k-means


def nearest(vectors: np.ndarray, queries: np.ndarray, count: int, threads: int) -> tuple[np.ndarray, np.ndarray]:
    """Find the vectors of largest scalar product with each query.

    The same input gives the same result, whatever the machine is busy with.

    Args:
        vectors: (N, D) float32 of length 1.
        queries: (Q, D) float32 of length 1.
        count: neighbours a query.
        threads: threads to search with.

    Returns:
        (Q, count) int64 positions among the vectors, -1 where there are no more, and (Q, count) float32 products.
    """
    if sys.platform == "darwin":
        # Torch brings its own copy of the OpenMP library, and on macOS the second copy ends the program otherwise.
        os.environ.setdefault("KMP_DUPLICATE_LIB_OK", "TRUE")
    import faiss  # here, since only who looks for near-duplicates needs it

    vectors, queries = np.ascontiguousarray(vectors), np.ascontiguousarray(queries)
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(threads)
    try:
        flat = faiss.IndexFlatIP(vectors.shape[1])
        if len(vectors) <= EXACT:
            flat.add(vectors)
            products, found = flat.search(queries, count)
            return found, products
        lists = min(LISTS, len(vectors) // PER_LIST)
        index = faiss.IndexIVFFlat(flat, vectors.shape[1], lists, faiss.METRIC_INNER_PRODUCT)
        index.cp.niter, index.cp.max_points_per_centroid = STEPS, TRAINED
        index.nprobe = PROBES
        index.train(vectors)
        index.add(vectors)
        products, found = index.search(queries, count)
        return found, products
    finally:
        faiss.omp_set_num_threads(before)
