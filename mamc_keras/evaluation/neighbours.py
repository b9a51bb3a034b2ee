"""Which training photos does each branch find most like a photo?"""

import os

import numpy as np

from mamc_keras.evaluation.retrieval import unit


def nearest(embeddings, gallery, count=3, paths=None):
    """Finds the nearest photos of a table, one branch at a time.

    Args:
        embeddings: float array `(n, num_attentions, embedding_dim)`.
        gallery: `Predictions` of the photos to find.
        count: int. How many; fewer when the gallery is smaller.
        paths: sequence of `n` str, the photos asked for, or `None`. A photo
            is never its own neighbour.

    Returns:
        `(indices, cosines)`: int and float64 arrays `(n, num_attentions,
        count)`, nearest first, of equal ones the first in the gallery. Where
        a photo has too few others the cosine is -inf.

    Raises:
        ValueError: when the embeddings are of another model.
    """
    embeddings = np.asarray(embeddings, np.float64)
    others = gallery.embeddings
    if (
        embeddings.ndim != 3
        or embeddings.shape[1:] != others.shape[1:]
        or not len(gallery)
        or count < 1
    ):
        raise ValueError(
            "Neighbours are found by embeddings of one model. Received: "
            f"{embeddings.shape}, a gallery {others.shape} and "
            f"count={count}. Give both from the same preset, and at least "
            "one photo to find."
        )
    cosines = np.einsum(
        "npd,gpd->npg", unit(embeddings), unit(others.astype(np.float64))
    )
    if paths is not None:
        own = [os.path.realpath(path) for path in gallery.paths]
        own = np.array([os.path.realpath(p) for p in paths])[:, None] == own
        cosines = np.where(own[:, None], -np.inf, cosines)
    order = np.argsort(-cosines, axis=-1, kind="stable")[..., :count]
    return order, np.take_along_axis(cosines, order, axis=-1)
