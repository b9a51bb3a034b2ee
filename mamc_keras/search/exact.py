"""The most similar of many vectors, by comparing with every one."""

import numpy as np

BLOCK_BYTES = 64 * 2**20  # of vectors, as float32


def check_branch(shape, queries, top, branch):
    """Makes sure that a question fits the vectors.

    Args:
        shape: `(n, num_attentions, embedding_dim)` of the vectors.
        queries: float array `(q, num_attentions, embedding_dim)`.
        top: int.
        branch: int or `None`.

    Raises:
        ValueError: says what does not fit.
    """
    if top < 1:
        raise ValueError(
            f"At least one photo is looked for. Received: top={top}. Set it "
            "to 1 or more."
        )
    if branch is not None and not 0 <= branch < shape[1]:
        raise ValueError(
            f"There is no such attention branch. Received: branch={branch}. "
            f"The index has {shape[1]}, counted from 0; leave it out to "
            "compare all."
        )
    if np.ndim(queries) != 3 or np.shape(queries)[1:] != shape[1:]:
        raise ValueError(
            "Queries must be embeddings of the model that made the index. "
            f"Received: shape {np.shape(queries)} for vectors {shape}."
        )
    if not np.isfinite(queries).all():
        raise ValueError(
            "The embedding of a query is no number. Received: NaN or "
            "infinity. The training diverged; use another preset."
        )


def query_vectors(queries, branch=None):
    """Makes queries whose product with stored vectors is the cosine.

    Args:
        queries: float array `(q, num_attentions, embedding_dim)`.
        branch: int or `None`.

    Returns:
        float32 array `(q, embedding_dim)` for a branch, else `(q,
        num_attentions * embedding_dim)`.
    """
    queries = np.asarray(queries, np.float32)
    lengths = np.linalg.norm(queries, axis=-1, keepdims=True)
    unit = queries / np.maximum(lengths, 1e-12)
    if branch is not None:
        return unit[:, branch]
    # A concatenation of P unit branches has the length sqrt(P), twice.
    return unit.reshape(len(unit), -1) / unit.shape[1]


def nearest(vectors, queries, top, branch=None, rows=None):
    """Finds the vectors with the largest cosine.

    Args:
        vectors: float16 or float32 array `(n, num_attentions,
            embedding_dim)` of unit branches, which may be a memory map.
        queries: float array `(q, num_attentions, embedding_dim)`.
        top: int.
        branch: int; all branches by default.
        rows: int array `(q, candidates)`, the rows to choose from for each
            query, -1 for none; all rows by default.

    Returns:
        `(rows, cosines)`: int64 and float32 arrays `(q, min(top, n))`; equal
        ones in the order of their rows.
    """
    asked = query_vectors(queries, branch)
    if rows is not None:
        return _among(vectors, asked, top, rows)
    top = min(top, len(vectors))
    width = asked.shape[1]
    size = max(top, BLOCK_BYTES // (4 * width))
    best = np.zeros((len(asked), 0), np.int64)
    cosines = np.zeros((len(asked), 0), np.float32)
    for start in range(0, len(vectors), size):
        block = vectors[start : start + size]
        block = block if branch is None else block[:, branch]
        block = block.reshape(len(block), width).astype(np.float32)
        numbers = np.arange(start, start + len(block))
        numbers = np.broadcast_to(numbers, (len(asked), len(block)))
        best = np.concatenate([best, numbers], axis=1)
        cosines = np.concatenate([cosines, asked @ block.T], axis=1)
        best, cosines = _largest(best, cosines, top)
    return best, cosines


def _among(vectors, asked, top, rows):
    # Row by row of the queries: their candidates differ.
    cosines = np.empty(rows.shape, np.float32)
    for i, chosen in enumerate(rows):
        part = vectors[np.maximum(chosen, 0)].astype(np.float32)
        cosines[i] = part.reshape(len(part), -1) @ asked[i]
    cosines[rows < 0] = -np.inf
    return _largest(rows, cosines, min(top, len(vectors)))


def _largest(rows, cosines, top):
    """Keeps the `top` largest of each query, in order."""
    if cosines.shape[1] > 4 * top:
        part = np.argpartition(-cosines, top - 1, axis=1)
        least = np.take_along_axis(cosines, part[:, top - 1 : top], axis=1)
        # Ties with the last one stay in for now, and the order decides.
        keep = max((cosines >= least).sum(axis=1).max(), top)
        part = np.argpartition(-cosines, keep - 1, axis=1)[:, :keep]
        rows = np.take_along_axis(rows, part, axis=1)
        cosines = np.take_along_axis(cosines, part, axis=1)
    order = np.lexsort((rows, -cosines), axis=1)[:, :top]
    return (
        np.take_along_axis(rows, order, axis=1),
        np.take_along_axis(cosines, order, axis=1),
    )
