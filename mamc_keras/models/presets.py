"""Loading and saving presets, the KerasHub way, with class names inside."""

import json
from pathlib import Path

import keras
from keras_hub.src.utils import preset_utils

from mamc_keras import __version__
from mamc_keras.evaluation import stored_calibration
from mamc_keras.files import atomic_path
from mamc_keras.models.backbones import find_preset
from mamc_keras.models.backbones import first_line
from mamc_keras.models.backbones import is_ours
from mamc_keras.models.backbones import load_backbone

LABELS_FILE = "labels.txt"
# Raised when older versions could no longer read what this one writes.
FORMAT = 1
FORMAT_KEY = "mamc_keras"


def _say_float32(file):
    """Takes mixed policies out of a preset's config.

    KerasHub cannot load a preset that names one, and the weights are float32
    in any case; whoever loads it chooses the policy.
    """
    text = file.read_text(encoding="utf-8")
    for policy in ("mixed_float16", "mixed_bfloat16"):
        text = text.replace(f'"{policy}"', '"float32"')
    file.write_text(text, encoding="utf-8")


def _say_format(file):
    metadata = json.loads(file.read_text(encoding="utf-8"))
    # KerasHub takes the first base class, which here is a part of ours.
    metadata["tasks"] = ["ImageClassifier"]
    metadata[FORMAT_KEY] = {"format": FORMAT, "version": __version__}
    file.write_text(json.dumps(metadata, indent=4), encoding="utf-8")


def _check_format(preset):
    """Refuses a preset of a later format; those without one are format 1."""
    metadata = preset_utils.load_json(preset, preset_utils.METADATA_FILE)
    written = metadata.get(FORMAT_KEY, {"format": 1})
    if written["format"] > FORMAT:
        raise ValueError(
            "The preset was saved by a newer mamc_keras. Received: "
            f"{preset!r} of format {written['format']}, saved by version "
            f"{written.get('version')}; this version, {__version__}, reads "
            f"formats up to {FORMAT}. Run: pip install --upgrade mamc_keras"
        )


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
            class_names: sequence of str; implies `num_classes`. Classes that
                a trained preset has by the same name keep their weights.
            reset_osme: bool. With new classes on a trained preset, start its
                attention branches and classifier afresh as well.
            **kwargs: other arguments of the constructor.

        Returns:
            A `MAMCImageClassifier`.

        Raises:
            ValueError: when the preset cannot be read, or a backbone preset
                comes without `num_classes`.
        """
        preset = find_preset(preset)
        if not is_ours(preset):
            if class_names is not None:
                num_classes = num_classes or len(class_names)
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
            _check_format(preset)
            if "://" in preset:
                # KerasHub fetches what it knows; load_task_weights looks for
                # these beside the weights.
                for name in stored_calibration.FILES:
                    preset_utils.check_file_exists(preset, name)
            trained = super().from_preset(preset, **kwargs)
        except (OSError, KeyError, json.JSONDecodeError) as error:
            raise ValueError(
                f"The preset {preset!r} is damaged ({first_line(error)}). "
                "Copy it again or save it anew with save_to_preset."
            ) from error
        if num_classes is None and class_names is None:
            return trained
        return trained.with_classes(num_classes, class_names, reset_osme)

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
        """Loads what `save_task_weights` wrote, and the calibration beside it.

        KerasHub calls this for every preset whose classes are kept.

        Args:
            filepath: str ending in `.weights.h5`.
        """
        keras.saving.load_weights(
            self, filepath, objects_to_skip=self._not_task_weights()
        )
        folder = Path(filepath).parent
        self.calibration = stored_calibration.Calibration.load(folder)

    def save_to_preset(self, preset_dir, max_shard_size=10):
        """Saves weights, preprocessing, class names, calibration; or nothing.

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
            _say_format(folder / preset_utils.METADATA_FILE)
            if self.class_names:
                text = "\n".join(self.class_names) + "\n"
                (folder / LABELS_FILE).write_text(text, encoding="utf-8")
            if self.calibration is not None:
                self.calibration.save(folder)
