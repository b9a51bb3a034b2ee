"""Class names and image settings that travel inside a .tflite file."""

import json
import zipfile

from mamc_keras import __version__
from mamc_keras.evaluation.explain import class_names
from mamc_keras.evaluation.explain import crop_of
from mamc_keras.lite import LABELS_FILE
from mamc_keras.lite import SETTINGS_FILE


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


def append_settings(path, model, variant, layout):
    """Appends labels.txt and mamc.json to a .tflite file, as a zip.

    A .tflite file is read from its beginning and a zip from its end, so both
    readers find theirs.

    Args:
        path: `Path` of the .tflite file.
        model: `MAMCImageClassifier`.
        variant, layout: str, as in `export_litert`.
    """
    settings = {
        "made_by": f"mamc_keras {__version__}",
        "input": "uint8 RGB image",
        "layout": layout,
        "variant": variant,
        "image_size": list(map(int, model.image_size)),
        "resize": "bilinear, antialiased",
        "crop_to_aspect_ratio": bool(crop_of(model)),
        "num_classes": model.num_classes,
    }
    files = {
        LABELS_FILE: labels_text(model),
        SETTINGS_FILE: json.dumps(settings, indent=2) + "\n",
    }
    with zipfile.ZipFile(path, "a") as archive:
        for name, text in files.items():
            # A date would make every export another file.
            archive.writestr(zipfile.ZipInfo(name), text)
