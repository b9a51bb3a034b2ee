"""A small network and small batches that the model tests share."""

import keras
import numpy as np


def encoder(size=32, seed=0, static=True):
    """Three convolutions with BatchNormalization, `size / 8` cells wide."""
    keras.utils.set_random_seed(seed)
    side = size if static else None
    image = keras.Input((side, side, 3))
    x = image
    for i, filters in enumerate((8, 16, 24)):
        x = keras.layers.Conv2D(filters, 3, 2, "same", name=f"conv{i}")(x)
        x = keras.layers.BatchNormalization(name=f"bn{i}")(x)
        x = keras.layers.ReLU(name=f"relu{i}")(x)
    return keras.Model(image, x, name="small")


def freeze(model):
    """Stops the statistics, so that results do not depend on the batch."""
    from mamc_keras.models.encoder import batch_norms

    for layer in batch_norms(model):
        layer.trainable = False
    return model


def batch(num_classes=4, images_per_class=2, size=32, seed=0):
    """Images whose colour tells the class, and their labels."""
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(num_classes), images_per_class)
    colours = np.random.default_rng(99).uniform(60, 200, (num_classes, 3))
    images = colours[labels][:, None, None] + rng.normal(
        0, 30, (len(labels), size, size, 3)
    )
    return images.clip(0, 255).astype("float32"), labels
