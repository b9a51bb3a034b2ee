"""Photos of a folder to unit vectors, one a branch."""

import functools
import hashlib
import json

import keras
import numpy as np
import tensorflow as tf

from mamc_keras.data.checking.findings import Problem
from mamc_keras.data.photo_files import read_pixels
from mamc_keras.data.threads import map_files
from mamc_keras.evaluation.predictions import compiled_heads
from mamc_keras.models.settings import crop_of

BATCH = 32


def fingerprint(model):
    """Names what an embedding depends on: weights and preprocessing.

    The classifier is left out: with other classes an index stays valid.

    Args:
        model: `MAMCImageClassifier`.

    Returns:
        str, 32 hexadecimal digits.
    """
    digest = hashlib.sha256()
    settings = {"image_size": model.image_size, "crop": crop_of(model)}
    converter = getattr(model.preprocessor, "image_converter", None)
    if converter is not None:
        config = converter.get_config()
        settings["pixels"] = {k: config.get(k) for k in ("scale", "offset")}
    digest.update(json.dumps(settings, default=str, sort_keys=True).encode())
    for weight in (*model.backbone.weights, *model.osme.weights):
        digest.update(keras.ops.convert_to_numpy(weight).tobytes())
    return digest.hexdigest()[:32]


def unit_branches(embeddings):
    """L2-normalises each branch.

    The mean over branches of the products of two photos is the cosine of
    their concatenated unit branches, which recall@1 takes.

    Args:
        embeddings: float array `(n, num_attentions, embedding_dim)`.

    Returns:
        float32 array of the same shape.
    """
    branches = np.asarray(embeddings, np.float32)
    lengths = np.linalg.norm(branches, axis=-1, keepdims=True)
    return branches / np.maximum(lengths, 1e-12)


def embed_files(model, paths, progress=None):
    """Embeds files; those that are no readable photo are named.

    Args:
        model: `MAMCImageClassifier`.
        paths: list of str.
        progress: callable `(done, total)`, or `None`.

    Returns:
        `(vectors, good, problems)`: float32 array `(n, num_attentions,
        embedding_dim)` of unit branches, the indices of its `n` photos in
        `paths`, and a list of `Problem` for the others.
    """
    read = functools.partial(
        read_pixels, size=tuple(model.image_size), crop=crop_of(model)
    )
    heads = compiled_heads(model)
    vectors, good, problems, batch = [], [], [], []

    def flush():
        if batch:
            outputs = heads(tf.constant(np.stack(batch)))["embeddings"]
            outputs = keras.ops.cast(outputs, "float32")
            outputs = keras.ops.convert_to_numpy(outputs)
            vectors.append(unit_branches(outputs))
            batch.clear()

    for i, pixels in enumerate(map_files(read, paths, progress)):
        if isinstance(pixels, Problem):
            problems.append(pixels)
            continue
        good.append(i)
        batch.append(pixels)
        if len(batch) == BATCH:
            flush()
    flush()
    shape = (0, max(model.num_attentions, 1), 0)
    vectors = np.concatenate(vectors) if vectors else np.zeros(shape)
    return vectors, good, problems
