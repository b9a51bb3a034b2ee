"""Do photos of one class lie next to each other? Recall@k and MAP@R."""

import numpy as np

BLOCK_BYTES = 64 * 2**20  # similarities held at a time


def recall_at_k(embeddings, labels, ks=(1,)):
    """Share of photos with one of their class among the `k` nearest others.

    Leave-one-out: every photo is the query once and all others are the
    gallery. Nearness is the cosine of the concatenated embeddings, each
    branch L2-normalised first so that all weigh alike. A photo that is alone
    in its class cannot be found: it is no query, but stays in the gallery.

    Args:
        embeddings: float array `(n, num_attentions, embedding_dim)`.
        labels: int array `(n,)`.
        ks: sequence of int.

    Returns:
        dict from each `k` to a float; NaN when every photo is alone.

    Raises:
        ValueError: when the arrays do not fit together or are not finite.
    """
    if not ks or min(ks) < 1:
        raise ValueError(
            f"k counts neighbours, 1 or more. Received: ks={tuple(ks)}."
        )
    group, _, queries = _queries(embeddings, labels)
    if not len(queries):
        return {k: float("nan") for k in ks}
    vectors = normalised(embeddings)
    ranks = first_match_ranks(vectors, group, queries)
    return {k: float((ranks < k).mean()) for k in ks}


def _queries(embeddings, labels):
    """Class number of each photo, photos of each class, photos to ask for."""
    embeddings = np.asarray(embeddings, np.float32)
    labels = np.asarray(labels)
    if embeddings.ndim != 3 or labels.shape != embeddings.shape[:1]:
        raise ValueError(
            "Recall needs embeddings (n, num_attentions, embedding_dim) and "
            f"labels (n,). Received: {embeddings.shape} and {labels.shape}."
        )
    if not np.isfinite(embeddings).all():
        raise ValueError(
            "The embeddings are no numbers. Received: NaN or infinity. The "
            "training diverged; train again with a lower learning rate."
        )
    _, group, counts = np.unique(
        labels, return_inverse=True, return_counts=True
    )
    return group, counts, np.flatnonzero(counts[group] > 1)


def map_at_r(embeddings, labels):
    """Mean average precision at R, leave-one-out as in `recall_at_k`.

    A query with `R` others of its class looks at its `R` nearest:
    `AP@R = 1/R sum over i = 1..R of precision at i if the i-th is of its
    class, else 0`. It is 1 only when all of them are.

    Args:
        embeddings: float array `(n, num_attentions, embedding_dim)`.
        labels: int array `(n,)`.

    Returns:
        float; NaN when every photo is alone in its class.

    Raises:
        ValueError: when the arrays do not fit together or are not finite.

    Reference:

    - [Musgrave et al., 2020](https://arxiv.org/abs/2003.08505), section 3.2
    """
    group, counts, queries = _queries(embeddings, labels)
    if not len(queries):
        return float("nan")
    vectors = normalised(embeddings)
    precisions = np.empty(len(queries))
    for rows, block, similarity in _similarity_blocks(vectors, queries):
        same = group[block, None] == group[None, :]
        # Of equal similarities the stranger comes first, as in recall@k.
        order = np.lexsort((same, -similarity), axis=1)
        hits = np.take_along_axis(same, order, axis=1)
        place = np.arange(1, len(vectors) + 1)
        others = counts[group[block], None] - 1
        precision = hits.cumsum(axis=1) / place
        kept = hits & (place <= others)
        precisions[rows] = (
            np.where(kept, precision, 0.0).sum(axis=1) / others[:, 0]
        )
    return float(precisions.mean())


def normalised(embeddings):
    """Concatenates the L2-normalised branches to one unit vector a photo.

    Args:
        embeddings: float array `(n, num_attentions, embedding_dim)`.

    Returns:
        float32 array `(n, num_attentions * embedding_dim)`.
    """
    branches = np.asarray(embeddings, np.float32)
    vectors = _unit(branches).reshape(len(branches), -1)
    return _unit(vectors)


def _unit(vectors):
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    # An all-zero branch stays zero instead of becoming NaN.
    return vectors / np.maximum(lengths, 1e-12)


def first_match_ranks(vectors, labels, queries):
    """How many strangers are nearer than the nearest of the same class.

    Args:
        vectors: float32 array `(n, d)`, unit vectors.
        labels: int array `(n,)`.
        queries: int array `(q,)`, each with another photo of its class.

    Returns:
        int array `(q,)`; 0 means that the nearest photo is of the class.
    """
    ranks = np.empty(len(queries), np.int64)
    for rows, block, similarity in _similarity_blocks(vectors, queries):
        same = labels[block, None] == labels[None, :]
        best = np.where(same, similarity, -np.inf).max(axis=1, keepdims=True)
        # A stranger exactly as near counts as nearer: a network that maps
        # everything to one point finds nothing.
        nearer = (similarity >= best) & ~same
        ranks[rows] = nearer.sum(axis=1)
    return ranks


def _similarity_blocks(vectors, queries):
    """Yields rows of the result, their queries, and cosines to all others."""
    size = max(1, BLOCK_BYTES // (4 * len(vectors)))
    for start in range(0, len(queries), size):
        rows = slice(start, start + size)
        block = queries[rows]
        similarity = vectors[block] @ vectors.T
        similarity[np.arange(len(block)), block] = -np.inf  # not itself
        yield rows, block, similarity
