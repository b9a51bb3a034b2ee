"""Class names and image settings that travel inside a .tflite file."""

import json
import zipfile

from mamc_keras import __version__
from mamc_keras.lite import LABELS_FILE
from mamc_keras.lite import SETTINGS_FILE
from mamc_keras.lite.file import PROTOTYPES_FILE
from mamc_keras.models.settings import class_names
from mamc_keras.models.settings import crop_of


def labels_text(model):
    """Class names, one a line, as every runtime of .tflite reads them.

    Args:
        model: `MAMCImageClassifier`.

    Returns:
        str.
    """
    # A folder's name may hold a line break; a line of labels must not.
    names = (" ".join(name.split("\n")) for name in class_names(model))
    return "".join(f"{name}\n" for name in names)


def settings_of(model):
    """What a program must know of an exported model.

    Args:
        model: `MAMCImageClassifier`.

    Returns:
        dict of JSON values. `temperature` is in the probabilities already.
        `unknown` is there with a calibration: a photo that scores below
        `threshold` perhaps shows none of the classes.
    """
    settings = {
        "made_by": f"mamc_keras {__version__}",
        "input": "uint8 RGB image",
        "image_size": list(map(int, model.image_size)),
        "resize": "bilinear, antialiased",
        "crop_to_aspect_ratio": bool(crop_of(model)),
        "num_classes": model.num_classes,
        "temperature": model.softmax_temperature,
    }
    if model.calibration:
        settings["unknown"] = {
            "score": model.calibration.score,
            "threshold": model.calibration.threshold,
            "false_alarm_rate": model.calibration.false_alarm_rate,
        }
    return settings


def append_settings(path, model, variant, layout):
    """Appends labels.txt, mamc.json and prototypes.npy to a .tflite file.

    They are a zip; prototypes.npy is there when the layout full needs it to
    tell photos of none of the classes. A .tflite file is read from its
    beginning and a zip from its end, so both readers find theirs.

    Args:
        path: `Path` of the .tflite file.
        model: `MAMCImageClassifier`.
        variant, layout: str, as in `export_litert`.
    """
    settings = {**settings_of(model), "layout": layout, "variant": variant}
    files = {
        LABELS_FILE: labels_text(model),
        SETTINGS_FILE: json.dumps(settings, indent=2) + "\n",
    }
    stored = model.calibration.files() if model.calibration else {}
    if layout == "full" and PROTOTYPES_FILE in stored:
        files[PROTOTYPES_FILE] = stored[PROTOTYPES_FILE]
    with zipfile.ZipFile(path, "a") as archive:
        for name, text in files.items():
            # A date would make every export another file.
            archive.writestr(zipfile.ZipInfo(name), text)
