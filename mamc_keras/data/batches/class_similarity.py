"""How much classes resemble each other, from what a model makes of them."""

import numpy as np


def similarity_from_confusion(confusion):
    """How often a model takes one class for the other.

    Args:
        confusion: array `(num_classes, num_classes)`, 0 or more. Photos of
            class `i` that were recognised as class `j`, at `[i, j]`. From
            validation or out-of-fold photos: on what it has learned by heart
            a model confuses nothing.

    Returns:
        float array `(num_classes, num_classes)`: of two classes the mean of
        the shares of their photos that were taken for the other, from 0 to
        1. Symmetric; the diagonal is 0, a class without photos has 0.

    Raises:
        ValueError: when it is no such matrix.
    """
    confusion = np.asarray(confusion, np.float64)
    if (
        confusion.ndim != 2
        or confusion.shape[0] != confusion.shape[1]
        or not (confusion >= 0).all()
        or not np.isfinite(confusion).all()
    ):
        raise ValueError(
            "A confusion matrix counts photos of each class by recognised "
            "class, (num_classes, num_classes). Received: shape "
            f"{confusion.shape}, or values that are no counts."
        )
    shares = confusion / np.maximum(confusion.sum(1, keepdims=True), 1e-12)
    similarity = (shares + shares.T) / 2
    np.fill_diagonal(similarity, 0.0)
    return similarity


def similarity_from_prototypes(prototypes):
    """Cosine of the classes' mean embeddings.

    Args:
        prototypes: float array `(num_classes, dim)`, see `class_prototypes`.

    Returns:
        float32 array `(num_classes, num_classes)`, from -1 to 1. Symmetric;
        the diagonal is 0, a class whose prototype is all zero has 0.

    Raises:
        ValueError: when it is no matrix of finite numbers.
    """
    prototypes = np.asarray(prototypes, np.float32)
    if prototypes.ndim != 2 or not np.isfinite(prototypes).all():
        raise ValueError(
            "Prototypes are one vector of finite numbers a class, "
            f"(num_classes, dim). Received: shape {prototypes.shape}, or NaN."
        )
    lengths = np.linalg.norm(prototypes, axis=1, keepdims=True)
    unit = prototypes / np.maximum(lengths, 1e-12)
    similarity = unit @ unit.T
    np.fill_diagonal(similarity, 0.0)
    return similarity


def class_prototypes(vectors, labels, num_classes):
    """Mean vector of the photos of each class.

    Args:
        vectors: float array `(n, dim)`, for instance what
            `evaluation.retrieval.normalised` makes of embeddings.
        labels: int array `(n,)`, from 0 to `num_classes - 1`.
        num_classes: int.

    Returns:
        float32 array `(num_classes, dim)`, zeros for a class without photos.
    """
    vectors = np.asarray(vectors, np.float32)
    sums = np.zeros((num_classes, vectors.shape[1]), np.float32)
    np.add.at(sums, labels, vectors)
    counts = np.bincount(labels, minlength=num_classes)
    return sums / np.maximum(counts, 1)[:, None].astype(np.float32)
