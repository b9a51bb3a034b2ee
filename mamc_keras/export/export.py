"""What `mamc export` does: every file of a deployment, compared with Keras."""

from pathlib import Path

import numpy as np

from mamc_keras.data.pipeline import load_image
from mamc_keras.evaluation.evaluate import data_of
from mamc_keras.evaluation.evaluate import load_model
from mamc_keras.evaluation.evaluate import match_classes
from mamc_keras.evaluation.evaluate import preset_folder
from mamc_keras.evaluation.explain import crop_of
from mamc_keras.export.litert import export_litert
from mamc_keras.export.parity import parity_report
from mamc_keras.export.saved_model import export_saved_model
from mamc_keras.files import write_json

CALIBRATION_IMAGES = 200
FLOAT_IMAGES = 200


def export(path, out=None, source=None, int8=True):
    """Writes a SavedModel, .tflite files, labels and a parity report.

    Args:
        path: str or Path of a run folder or preset folder.
        out: folder to write to; `export` beside the preset by default.
        source: str, photos for calibration and parity; a run knows its own.
        int8: bool. Write the full int8 file too.

    Returns:
        list of `(Path, dict or None)`: each file with its parity report.

    Raises:
        ValueError: when int8 is asked for without photos.
    """
    preset = preset_folder(path)
    out = Path(out) if out else preset.parent / "export"
    model = load_model(path)
    splits = data_of(path, source) if int8 or source else {}
    test = splits.get("test") or splits.get("val")
    if test:
        test = match_classes(test, model)
    written = [(export_saved_model(model, out / "saved_model"), None)]
    files = {"model.tflite": None}
    if int8:
        files["model_int8.tflite"] = "int8"
    reports = {}
    for name, quantize in files.items():
        calibration = calibration_images(model, splits) if quantize else None
        file = export_litert(model, out / name, quantize, calibration)
        # Float is equal to the last digits: a part of the photos shows it.
        limit = None if quantize else FLOAT_IMAGES
        report = parity_report(model, file, test, limit) if test else None
        written.append((file, report))
        reports[name] = report
    write_json(out / "parity.json", reports)
    written += [(out / "labels.txt", None), (out / "parity.json", None)]
    return [entry for entry in written if entry[0].exists()]


def calibration_images(model, splits):
    """Picks training photos that show int8 the range of every activation.

    Args:
        model: `MAMCImageClassifier`.
        splits: dict of `ImageSet`.

    Returns:
        uint8 array `(n, height, width, 3)`.
    """
    images = splits["train"]
    count = min(CALIBRATION_IMAGES, len(images))
    # Evenly over the list, which is sorted by class: every class is seen.
    index = np.linspace(0, len(images) - 1, count).astype(int)
    return np.stack(
        [
            load_image(images.paths[i], model.image_size, crop_of(model))
            for i in index
        ]
    )
