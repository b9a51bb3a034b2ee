"""A small trained classifier that the tests of export and lite share."""

import functools

import numpy as np
import small

NAMES = ("red cup", "001.Grün", "a,b", "last")
SIZE = 32
PIXELS = {"scale": 1 / 128, "offset": -127 / 128, "image_size": (SIZE, SIZE)}


def classifier(**changes):
    """A classifier of `small.encoder`, trained so that answers differ."""
    from mamc_keras.models import MAMCImageClassifier

    settings = {
        "preprocessor": dict(PIXELS),
        "embedding_dim": 8,
        "reduction_ratio": 4,
        "class_names": NAMES,
        **changes,
    }
    model = MAMCImageClassifier(small.encoder(SIZE), len(NAMES), **settings)
    return train(model)


def train(model, steps=22):
    """Trains on colours for a few steps."""
    import keras

    small.freeze(model)  # 22 steps are too few for the statistics.
    images, labels = small.batch(len(NAMES), 8, SIZE)
    model.compile(keras.optimizers.Adam(1e-2))
    model.fit(images, labels, batch_size=32, epochs=steps, verbose=0)
    return model


@functools.cache
def trained():
    """The classifier with every default; never change it."""
    return classifier()


def photos(images_per_class=8, seed=5):
    """New uint8 images of the same classes, and their labels."""
    images, labels = small.batch(len(NAMES), images_per_class, SIZE, seed)
    return images.astype(np.uint8), labels
