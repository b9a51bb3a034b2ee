"""What `mamc export` does: every file of a deployment, compared with Keras."""

from pathlib import Path

import numpy as np

from mamc_keras.data.pipeline import load_image
from mamc_keras.evaluation.evaluate import data_of
from mamc_keras.evaluation.evaluate import load_model
from mamc_keras.evaluation.evaluate import match_classes
from mamc_keras.evaluation.evaluate import preset_folder
from mamc_keras.export.choice import recommended
from mamc_keras.export.litert import export_litert
from mamc_keras.export.parity_report import parity_reports
from mamc_keras.export.saved_model import export_saved_model
from mamc_keras.export.variants import needs_photos
from mamc_keras.files import write_json
from mamc_keras.models.settings import crop_of

CALIBRATION_IMAGES = 200
STEMS = {"classifier": "model", "embedder": "embedder", "full": "full"}


def export(
    path,
    out=None,
    source=None,
    variants=("float32", "int8"),
    layouts=("classifier",),
    any_size=False,
):
    """Writes a SavedModel, .tflite files, labels and a parity report.

    Args:
        path: str or Path of a run folder or preset folder.
        out: folder to write to; `export` beside the preset by default.
        source: str, photos for calibration and parity; a run knows its own.
        variants: sequence of str, as in `export_litert`.
        layouts: sequence of str, as in `export_litert`.
        any_size: bool. Let the files that are not calibrated take photos of
            any size.

    Returns:
        list of `(Path, dict or None)`: each file with its parity report. With
        validation photos it says `accuracy_validation` as well, and which
        file is `recommended`.

    Raises:
        ValueError: when int8 or mixed is asked for without photos.
    """
    preset = preset_folder(path)
    out = Path(out) if out else preset.parent / "export"
    model = load_model(path)
    calibrated = any(map(needs_photos, variants))
    splits = data_of(path, source) if calibrated or source else {}
    val = splits.get("val")
    test = splits.get("test") or val
    calibration = calibration_images(model, splits) if calibrated else None
    written = [(export_saved_model(model, out / "saved_model"), None)]
    files, compared = [], {}
    for layout in layouts:
        for variant in variants:
            ending = "" if variant == "float32" else f"_{variant}"
            file = export_litert(
                model,
                out / f"{STEMS[layout]}{ending}.tflite",
                variant,
                calibration,
                layout,
                any_size and not needs_photos(variant),
            )
            files.append(file)
            if test and layout != "embedder":
                compared.setdefault(layout, {})[variant] = file
    reports = {}
    for same in compared.values():
        found = _compare(model, same, test)
        if val:
            _recommend(found, _compare(model, same, val))
        reports |= {same[variant]: found[variant] for variant in same}
    written += [(file, reports.get(file)) for file in files]
    names = {file.name: report for file, report in reports.items()}
    write_json(out / "parity.json", names)
    written += [(out / "labels.txt", None), (out / "parity.json", None)]
    return [entry for entry in written if entry[0].exists()]


def _compare(model, files, images):
    """Reports of a dict of files, by the same keys."""
    images = match_classes(images, model)
    reports = parity_reports(model, list(files.values()), images)
    return dict(zip(files, reports, strict=True))


def _recommend(reports, on_validation):
    """Adds to reports of one layout what validation photos say."""
    best = recommended(on_validation)
    for variant, report in reports.items():
        found = on_validation[variant]
        report["accuracy_validation"] = found["accuracy_tflite"]
        report["recommended"] = variant == best


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
