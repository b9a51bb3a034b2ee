"""From a photo's pixels to the backbone's input, stored with every preset."""

import keras
import keras_hub

from mamc_keras.models.encoder import MAMCBackbone


@keras.saving.register_keras_serializable(package="mamc_keras")
class MAMCImageConverter(keras_hub.layers.ImageConverter):
    """Resizes (bilinear, antialiased) and rescales images.

    See `keras_hub.layers.ImageConverter` for the arguments. Bilinear with
    antialiasing is the one resize that training, evaluation and every export
    share.
    """

    backbone_cls = MAMCBackbone

    def __init__(self, interpolation="bilinear", antialias=True, **kwargs):
        super().__init__(
            interpolation=interpolation, antialias=antialias, **kwargs
        )


@keras.saving.register_keras_serializable(package="mamc_keras")
class MAMCImageClassifierPreprocessor(
    keras_hub.models.ImageClassifierPreprocessor
):
    """Applies `MAMCImageConverter` to images, and passes labels through."""

    backbone_cls = MAMCBackbone
    image_converter_cls = MAMCImageConverter


def as_preprocessor(preprocessor, image_size=None, crop_to_aspect_ratio=None):
    """Rewrites a KerasHub image preprocessor as ours.

    Hub presets resize bicubic, which no exported graph can do with builtin
    operations; ours keep their scale and offset and resize bilinear.

    Args:
        preprocessor: a `keras_hub` image preprocessor or converter, a dict of
            `scale`, `offset` and `image_size`, any other callable (kept as it
            is), or `None`.
        image_size: `(height, width)` in pixels; `None` keeps the
            preprocessor's.
        crop_to_aspect_ratio: bool; `None` keeps the preprocessor's.

    Returns:
        A `MAMCImageClassifierPreprocessor`, the callable itself, or `None`.
    """
    converter = getattr(preprocessor, "image_converter", preprocessor)
    if isinstance(converter, keras_hub.layers.ImageConverter):
        settings = {
            name: getattr(converter, name)
            for name in ("image_size", "scale", "offset")
        }
        settings["crop_to_aspect_ratio"] = converter.crop_to_aspect_ratio
    elif isinstance(converter, dict):
        settings = dict(converter)
    else:
        return preprocessor
    if image_size is not None:
        settings["image_size"] = tuple(image_size)
    if crop_to_aspect_ratio is not None:
        settings["crop_to_aspect_ratio"] = crop_to_aspect_ratio
    return MAMCImageClassifierPreprocessor(MAMCImageConverter(**settings))
