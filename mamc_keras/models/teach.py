"""New classes from a few photos of each: no training, an ordinary Dense."""

import logging

import numpy as np

from mamc_keras.models.prototypes import MARGIN
from mamc_keras.models.prototypes import centred
from mamc_keras.models.prototypes import likeness
from mamc_keras.models.prototypes import new_rows

LEAST_LIKENESS = 0.25
FEW_CLASSES = 16  # they say too little about what all photos share
_log = logging.getLogger("mamc_keras")


def teach(model, images_by_class, known_images=None, margin=MARGIN):
    """Adds classes to a trained classifier from a few photos of each.

    The old classes keep their rows bit for bit; `drop_classes` undoes it.

    Args:
        model: trained `MAMCImageClassifier` with class names.
        images_by_class: dict of new class name to `(n, height, width, 3)`,
            values 0..255, one photo or more.
        known_images: `(m, height, width, 3)`, photos of old classes, which
            need no label, or `None`. Worth having, above all when the model
            has few classes.
        margin: float, in logits. More finds more photos of new classes and
            loses more of old ones.

    Returns:
        A new `MAMCImageClassifier` that shares this one's backbone. It has no
        calibration.

    Raises:
        ValueError: when a class has no photos or is known already, or the
            model is quantised.
    """
    empty = [name for name, part in images_by_class.items() if not len(part)]
    if empty:
        raise ValueError(
            f"Each new class needs a photo. Received: none for {empty!r}. Add "
            "photos, or leave the class out."
        )
    taught = model.add_classes(tuple(images_by_class))
    kernel, bias = model.output_dense.get_weights()
    embeddings = [_embed(model, part) for part in images_by_class.values()]
    known = None if known_images is None else _embed(model, known_images)
    columns, biases = new_rows(kernel, bias, embeddings, known, margin)
    if not (np.isfinite(columns).all() and np.isfinite(biases).all()):
        raise ValueError(
            "The embeddings of these photos are no numbers. Received: NaN or "
            "infinity. The training diverged; use another preset."
        )
    taught.output_dense.set_weights(
        [
            np.concatenate([kernel, columns], axis=1).astype(kernel.dtype),
            np.concatenate([bias, biases]).astype(bias.dtype),
        ]
    )
    if known is None and len(bias) < FEW_CLASSES:
        _log.warning(
            "A classifier of %d classes says little about new ones: old "
            "photos may be taken for new. Give photos of old classes as well "
            "(--known, known_images).",
            len(bias),
        )
    apart = kernel - kernel.mean(axis=1, keepdims=True)
    for name, part in zip(images_by_class, embeddings, strict=True):
        _warn(name, centred(part, apart, known))
    return taught


def _embed(model, images):
    """Embeddings of photos and their mirror images, averaged: `(n, dim)`."""
    images = np.asarray(images)
    both = model.embed(images) + model.embed(images[:, :, ::-1])
    return both.reshape(len(images), -1) / 2


def _warn(name, vectors):
    if len(vectors) == 1:
        _log.warning(
            "One photo of %r is little: it may be found badly. Five are much "
            "better.",
            name,
        )
    elif likeness(vectors) < LEAST_LIKENESS:
        _log.warning(
            "The photos of %r hardly look alike to this network (%.2f of at "
            "most 1). Is one in the wrong folder, or are these two classes?",
            name,
            likeness(vectors),
        )
