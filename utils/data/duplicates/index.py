"""Nearest neighbours among very many short vectors, by Faiss."""

import os
import sys

import numpy as np

EXACT = 20_000  # vectors up to which comparing with all of them is quick enough
PER_LIST = (
    128  # vectors that a list of an inverted file is meant to hold, so that its length does not grow with their number
)
PROBES = 24  # lists that are searched; measured: 99.9 % of what comparing with all finds
LINKS, WIDTH = 16, 64  # of the graph that finds the lists: links a node, and nodes kept in sight
NARROW = 8  # nodes kept in sight where about the right list is enough
BLOCK = 65_536  # queries a call, whose lists take memory


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
        # Any vectors do as centres of the lists: k-means with as many lists as they need takes the square of their number.
        # So would comparing each query with all centres; a graph of them (Malkov and Yashunin, 2020) finds the nearest.
        lists = len(vectors) // PER_LIST
        centres = np.sort(np.random.default_rng(0).choice(len(vectors), lists, replace=False))
        graph = faiss.IndexHNSWFlat(vectors.shape[1], LINKS, faiss.METRIC_INNER_PRODUCT)
        graph.hnsw.efSearch = WIDTH
        faiss.omp_set_num_threads(1)  # threads would build another graph each time
        graph.add(vectors[centres])
        faiss.omp_set_num_threads(threads)
        index = faiss.IndexIVFFlat(graph, vectors.shape[1], lists, faiss.METRIC_INNER_PRODUCT)
        index.nprobe = PROBES
        index.train(vectors)  # has its centres already
        index.add(vectors)
        # Queries of one list follow each other, so that the lists which they share are in the processor's cache: without
        # this, a query takes the longer the more vectors there are.
        graph.hnsw.efSearch = NARROW
        order = np.argsort(graph.search(queries, 1)[1][:, 0], kind="stable")
        graph.hnsw.efSearch = WIDTH
        found = np.empty((len(queries), count), dtype=np.int64)
        products = np.empty((len(queries), count), dtype=np.float32)
        for start in range(0, len(order), BLOCK):
            block = order[start : start + BLOCK]
            products[block], found[block] = index.search(queries[block], count)
        return found, products
    finally:
        faiss.omp_set_num_threads(before)
