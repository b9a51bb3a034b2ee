"""Faiss for large indexes: looks at the likely part of the photos only.

An inverted file: k-means cells, of which a query visits the nearest. Faiss
chooses candidates; their cosines are then taken from the stored vectors.
"""

import importlib.util
import logging

import numpy as np

from mamc_keras.files import atomic_path
from mamc_keras.search.exact import query_vectors

FILE = "faiss.index"
# Fewer are compared in a moment without it.
LEAST = 100_000
CANDIDATES = 4  # for each photo that is asked for
PROBED = 32  # cells
_log = logging.getLogger("mamc_keras")


def build(vectors, path, least=LEAST):
    """Writes faiss.index beside the vectors of a large index.

    Args:
        vectors: float16 array `(n, num_attentions, embedding_dim)`.
        path: str or Path of the file.
        least: int. For fewer vectors there is none.

    Returns:
        bool, whether it was written.
    """
    count = len(vectors)
    if count < least:
        return False
    if importlib.util.find_spec("faiss") is None:
        _log.info(
            "Searching %s photos will compare with every one. Faiss is "
            "faster: pip install mamc_keras[search], and index again.",
            f"{count:,}",
        )
        return False
    import faiss

    width = int(np.prod(vectors.shape[1:]))
    cells = max(1, int(count**0.5))
    found = faiss.index_factory(
        width, f"IVF{cells},SQfp16", faiss.METRIC_INNER_PRODUCT
    )
    # 64 photos a cell are enough for k-means; any more are only slow.
    rows = np.random.default_rng(0).permutation(count)[: 64 * cells]
    found.train(_flat(vectors[np.sort(rows)]))
    for start in range(0, count, 16384):
        found.add(_flat(vectors[start : start + 16384]))
    with atomic_path(path) as file:
        faiss.write_index(found, str(file))
    return True


def candidates(index, queries, top):
    """Names the photos that are worth comparing.

    Args:
        index: `Index`.
        queries: float array `(q, num_attentions, embedding_dim)`.
        top: int.

    Returns:
        int64 array `(q, candidates)`, -1 where there are fewer; `None`
        without a faiss.index or without Faiss.
    """
    file = index.folder / FILE
    if not file.is_file() or importlib.util.find_spec("faiss") is None:
        return None
    import faiss

    if not hasattr(index, "_faiss"):
        index._faiss = faiss.read_index(str(file))
        index._faiss.nprobe = PROBED
    number = min(CANDIDATES * top, len(index))
    return index._faiss.search(query_vectors(queries), number)[1]


def _flat(vectors):
    return np.ascontiguousarray(vectors, np.float32).reshape(len(vectors), -1)
