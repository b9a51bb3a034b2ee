"""What a pretrained network, not trained further, makes of each photo."""

import numpy as np
import tensorflow as tf

from mamc_keras.data.pipeline import plain_dataset
from mamc_keras.models.backbones import load_backbone
from mamc_keras.models.preprocessing import as_preprocessor

PRESET = "efficientnet_lite0_imagenet"
BATCH_SIZE = 32


def photo_features(images, preset=PRESET, image_size=(224, 224), progress=None):
    """Averages the last feature map of a frozen network over each photo.

    Args:
        images: `ImageSet`. Every photo can be decoded.
        preset: str. See `load_backbone`.
        image_size: `(height, width)` in pixels.
        progress: callable `(done, total)`, or `None`.

    Returns:
        float32 array `(len(images), channels)`.

    Raises:
        ValueError: when the preset cannot be read.
        ImportError: when the package with its weights is not installed.
    """
    backbone, settings = load_backbone(preset, image_size)
    preprocess = as_preprocessor(settings, image_size)

    @tf.function
    def pooled(photos):
        maps = backbone(preprocess(photos), training=False)
        return tf.reduce_mean(tf.cast(maps, tf.float32), axis=(1, 2))

    features = np.zeros((len(images), backbone.output_shape[-1]), np.float32)
    done = 0
    for photos, _ in plain_dataset(images, image_size, BATCH_SIZE):
        part = pooled(photos).numpy()
        features[done : done + len(part)] = part
        done += len(part)
        if progress:
            progress(done, len(images))
    return features
