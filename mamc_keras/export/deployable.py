"""Makes a trained classifier fit for export."""

import keras
import numpy as np


def deployable(model):
    """Returns the classifier in float32 and outside of any strategy.

    Phones have no bfloat16 operations, and variables that are mirrored over
    replicas cannot be frozen into a file.

    Args:
        model: `MAMCImageClassifier`.

    Returns:
        The model itself, or a copy of it when it has to change.

    Raises:
        ValueError: on a Keras backend other than TensorFlow.
    """
    if keras.backend.backend() != "tensorflow":
        raise ValueError(
            "TensorFlow writes the exported files. Received: the Keras "
            f"backend {keras.backend.backend()!r}. Set KERAS_BACKEND to "
            "tensorflow and load the preset again."
        )
    if not _mirrored(model) and not _low_precision(model):
        return model
    config = _in_float32(model.get_config())
    copy = type(model).from_config(config)
    copy.set_weights(model.get_weights())
    copy.calibration = model.calibration
    return copy


def rescaled(model, images):
    """Rescales pixels as the model's preprocessor does, without resizing.

    A 1 x 1 depthwise convolution instead of a product and a sum: quantised,
    its weights are exact for each channel and its offset has 32 bits.

    Args:
        model: `MAMCImageClassifier`.
        images: float32 tensor `(batch_size, height, width, 3)`, 0..255, of
            the model's size.

    Returns:
        Tensor of the same shape.
    """
    converter = image_converter(model)
    if converter is None:
        return model.preprocessor(images) if model.preprocessor else images
    scale, offset = (
        np.broadcast_to(np.float32(default if value is None else value), 3)
        for value, default in ((converter.scale, 1), (converter.offset, 0))
    )
    layer = keras.layers.DepthwiseConv2D(1, dtype="float32", name="rescale")
    layer.build((None, None, None, 3))
    layer.set_weights([scale.reshape(1, 1, 3, 1), offset])
    return layer(images)


def image_converter(model):
    """The `MAMCImageConverter` of a model, `None` when it has none.

    Args:
        model: `MAMCImageClassifier`.
    """
    return getattr(model.preprocessor, "image_converter", None)


def fixed_size(model):
    """Height and width of the images that the network itself takes.

    Args:
        model: `MAMCImageClassifier`.

    Returns:
        `(height, width)` in pixels.

    Raises:
        ValueError: when the model takes any size.
    """
    if model.image_size is None:
        raise ValueError(
            "An exported classifier has images of one size. Received: "
            "model.image_size=None. Build the model with image_size."
        )
    return tuple(map(int, model.image_size))


def _mirrored(model):
    import tensorflow as tf

    return any(
        isinstance(variable.value, tf.distribute.DistributedValues)
        for variable in model.variables
    )


def _low_precision(model):
    layers = [model, *model._flatten_layers()]
    return any(layer.compute_dtype != "float32" for layer in layers)


def _in_float32(config):
    """Replaces every dtype policy in a nested config."""
    if isinstance(config, list | tuple):
        return type(config)(map(_in_float32, config))
    if not isinstance(config, dict):
        return config
    return {
        key: "float32" if key == "dtype" and value else _in_float32(value)
        for key, value in config.items()
    }
