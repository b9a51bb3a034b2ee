"""Do photos of one class lie next to each other? Recall@k on embeddings."""

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
    embeddings = np.asarray(embeddings, np.float32)
    labels = np.asarray(labels)
    if embeddings.ndim != 3 or labels.shape != embeddings.shape[:1]:
        raise ValueError(
            "Recall needs embeddings (n, num_attentions, embedding_dim) and "
            f"labels (n,). Received: {embeddings.shape} and {labels.shape}."
        )
    if not ks or min(ks) < 1:
        raise ValueError(
            f"k counts neighbours, 1 or more. Received: ks={tuple(ks)}."
        )
    if not np.isfinite(embeddings).all():
        raise ValueError(
            "The embeddings are no numbers. Received: NaN or infinity. The "
            "training diverged; train again with a lower learning rate."
        )
    _, group, counts = np.unique(
        labels, return_inverse=True, return_counts=True
    )
    queries = np.flatnonzero(counts[group] > 1)
    if not len(queries):
        return {k: float("nan") for k in ks}
    vectors = normalised(embeddings)
    ranks = first_match_ranks(vectors, group, queries)
    return {k: float((ranks < k).mean()) for k in ks}


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
    rows = max(1, BLOCK_BYTES // (4 * len(vectors)))
    for start in range(0, len(queries), rows):
        block = queries[start : start + rows]
        similarity = vectors[block] @ vectors.T
        similarity[np.arange(len(block)), block] = -np.inf  # not itself
        same = labels[block, None] == labels[None, :]
        best = np.where(same, similarity, -np.inf).max(axis=1, keepdims=True)
        # A stranger exactly as near counts as nearer: a network that maps
        # everything to one point finds nothing.
        nearer = (similarity >= best) & ~same
        ranks[start : start + rows] = nearer.sum(axis=1)
    return ranks
