"""Do photos of one class lie next to each other? Recall@k, MAP@R and more."""

import numpy as np

BLOCK_BYTES = 64 * 2**20  # similarities held at a time


KS = (1, 2, 4, 8)


def retrieval_values(embeddings, labels, ks=KS):
    """Measures of every photo as a query, from one pass over all pairs.

    Leave-one-out: every photo is the query once and all others are the
    gallery. Nearness is the cosine of the concatenated embeddings, each
    branch L2-normalised first so that all weigh alike. Of equally near
    photos, those of other classes come first: a network that maps everything
    to one point finds nothing. A query with `R` others of its class has

    - `recall@k`: whether one of them is among the `k` nearest,
    - `r_precision`: their share among the `R` nearest,
    - `map@r`: `1/R sum over i = 1..R of the precision at i if the i-th is of
      its class, else 0`; 1 only when all `R` nearest are.

    Args:
        embeddings: float array `(n, num_attentions, embedding_dim)`.
        labels: int array `(n,)`.
        ks: sequence of int.

    Returns:
        dict of float64 arrays `(n,)`. NaN for a photo that is alone in its
        class: it cannot be found and is no query, but stays in the gallery.

    Raises:
        ValueError: when the arrays do not fit together or are not finite.

    Reference:

    - [Musgrave et al., 2020](https://arxiv.org/abs/2003.08505), section 3.2
    """
    if not ks or min(ks) < 1:
        raise ValueError(
            f"k counts neighbours, 1 or more. Received: ks={tuple(ks)}. "
            "Give whole numbers such as 1, 2, 4 and 8."
        )
    group, queries = _queries(embeddings, labels)
    names = (*(f"recall@{k}" for k in ks), "r_precision", "map@r")
    values = {name: np.full(len(group), np.nan) for name in names}
    if len(queries):
        vectors = normalised(embeddings)
        for query, places in match_places(vectors, group, queries):
            count = len(places)
            found = places[places <= count]
            for k in ks:
                values[f"recall@{k}"][query] = places[0] <= k
            values["r_precision"][query] = len(found) / count
            precisions = np.arange(1, len(found) + 1) / found
            values["map@r"][query] = precisions.sum() / count
    return values


def recall_at_k(embeddings, labels, ks=(1,)):
    """Share of photos with one of their class among the `k` nearest others.

    Args:
        embeddings, labels, ks: as in `retrieval_values`.

    Returns:
        dict from each `k` to a float; NaN when every photo is alone.

    Raises:
        ValueError: when the arrays do not fit together or are not finite.
    """
    values = retrieval_values(embeddings, labels, ks)
    return {k: _mean(values[f"recall@{k}"]) for k in ks}


def map_at_r(embeddings, labels):
    """Mean average precision at R, see `retrieval_values`.

    Args:
        embeddings, labels: as in `retrieval_values`.

    Returns:
        float; NaN when every photo is alone in its class.

    Raises:
        ValueError: when the arrays do not fit together or are not finite.
    """
    return _mean(retrieval_values(embeddings, labels)["map@r"])


def _mean(values):
    """Mean over the queries."""
    asked = values[~np.isnan(values)]
    return float(asked.mean()) if len(asked) else float("nan")


def _queries(embeddings, labels):
    """Class number of each photo, and the photos to ask for."""
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
    return group, np.flatnonzero(counts[group] > 1)


def normalised(embeddings):
    """Concatenates the L2-normalised branches to one unit vector a photo.

    Args:
        embeddings: float array `(n, num_attentions, embedding_dim)`.

    Returns:
        float32 array `(n, num_attentions * embedding_dim)`.
    """
    branches = np.asarray(embeddings, np.float32)
    vectors = unit(branches).reshape(len(branches), -1)
    return unit(vectors)


def unit(vectors):
    """Divides vectors by their lengths.

    Args:
        vectors: float array `(..., d)`.

    Returns:
        Float array of the same shape; a vector of zeros stays as it is.
    """
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return vectors / np.maximum(lengths, 1e-12)


def match_places(vectors, labels, queries):
    """Where the photos of a query's class come, nearest first.

    Args:
        vectors: float32 array `(n, d)`, unit vectors.
        labels: int array `(n,)`.
        queries: int array `(q,)`, each with another photo of its class.

    Returns:
        Iterator of `(query, places)`: int, and an ascending int array, 1 for
        the nearest of all other photos.
    """
    for _, block, similarity in _similarity_blocks(vectors, queries):
        same = labels[block, None] == labels[None, :]
        own = [
            np.sort(-row[kept])
            for row, kept in zip(similarity, same, strict=True)
        ]
        similarity[same] = -np.inf
        strangers = np.sort(-similarity, axis=1)
        for query, near, others in zip(block, own, strangers, strict=True):
            near = near[:-1]  # The query itself, at infinity, is the last.
            nearer = np.searchsorted(others, near, side="right")
            yield query, nearer + np.arange(1, len(near) + 1)


def _similarity_blocks(vectors, queries):
    """Yields rows of the result, their queries, and cosines to all others."""
    size = max(1, BLOCK_BYTES // (4 * len(vectors)))
    for start in range(0, len(queries), size):
        rows = slice(start, start + size)
        block = queries[rows]
        similarity = vectors[block] @ vectors.T
        similarity[np.arange(len(block)), block] = -np.inf  # not itself
        yield rows, block, similarity
