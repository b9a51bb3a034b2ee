"""The files that `mamc evaluate` writes about a table of predictions."""

import csv

import numpy as np

from mamc_keras.evaluation import compare
from mamc_keras.evaluation import metrics
from mamc_keras.evaluation import plots
from mamc_keras.evaluation import slices
from mamc_keras.evaluation.calibration import calibrated
from mamc_keras.evaluation.calibration import softened
from mamc_keras.evaluation.confused import confused_figure
from mamc_keras.evaluation.intervals import intervals
from mamc_keras.evaluation.intervals import photo_values
from mamc_keras.evaluation.predictions import ARRAYS_FILE
from mamc_keras.evaluation.predictions import TABLE_FILE
from mamc_keras.evaluation.reliability import reliability_bins
from mamc_keras.evaluation.reliability import reliability_figure
from mamc_keras.evaluation.slices_plot import slices_figure
from mamc_keras.files import atomic_path
from mamc_keras.files import write_json

THUMBNAIL = 192  # pixels, the longer side


def write_outputs(
    out, predictions, calibration=None, counts=None, slices_file=None
):
    """Measures predictions and writes tables and pictures.

    Args:
        out: `Path` of the folder, where the predictions lie already.
        predictions: `Predictions`.
        calibration: `Calibration` of the preset, or `None`.
        counts: int array `(num_classes,)`, training photos by class, or
            `None` where they are not known.
        slices_file: str or Path of a CSV of slices, or `None`.

    Returns:
        `(measures, paths)`: dict of float, list of `Path`.
    """
    # Bad input is said before anything is written.
    groups = _groups(predictions, counts, slices_file)
    measures = {"images": len(predictions), **metrics.summary(predictions)}
    measures |= calibrated(predictions, calibration)
    values = photo_values(predictions)
    for name, column in values.items():
        counted = column[np.isfinite(column)]
        # None with every photo alone in its class.
        if name not in measures and len(counted):
            measures[name] = float(counted.mean())
    write_json(out / "metrics.json", measures)
    names = ["metrics.json"]
    if len(predictions) > 1:
        found = intervals(predictions, values)
        write_json(out / "intervals.json", found)
        names.append("intervals.json")
    write_rows(out / "per_class.csv", metrics.per_class(predictions))
    columns = ("label", "answer", "images")
    pairs = metrics.most_confused(predictions, 100)
    pairs = [dict(zip(columns, pair, strict=True)) for pair in pairs]
    write_rows(out / "confused.csv", pairs, columns)
    write_rows(out / "reliability.csv", reliability_bins(predictions))
    plots.confusion_figure(out / "confusion.png", predictions)
    tables = {"as trained": predictions}
    if calibration is not None:
        tables["after its temperature"] = softened(predictions, calibration)
    reliability_figure(out / "reliability.png", tables)
    names += ["per_class.csv", "confused.csv", "reliability.csv"]
    names += ["confusion.png", "reliability.png", TABLE_FILE, ARRAYS_FILE]
    if confused_figure(out / "confused.png", predictions, thumbnail):
        names.append("confused.png")
    else:  # The mistakes of an earlier model are not this one's.
        (out / "confused.png").unlink(missing_ok=True)
    rows = slices.slice_rows(predictions, groups)
    if rows:
        write_rows(out / "slices.csv", rows)
        slices_figure(out / "slices.png", rows, measures["top1"])
        names += ["slices.csv", "slices.png"]
    else:
        for name in ("slices.csv", "slices.png"):
            (out / name).unlink(missing_ok=True)
    return measures, [out / name for name in names]


def _groups(predictions, counts, slices_file):
    """Every slice that there is: name to one group for each photo."""
    groups = {}
    if counts is not None:
        groups["class size"] = slices.class_size_slice(predictions, counts)
    groups["shorter side"] = slices.photo_size_slice(predictions)
    if slices_file is not None:
        groups |= slices.read_slices(slices_file, predictions)
    return groups


def write_comparison(out, first, second, names):
    """Writes how two classifiers differ on the same photos.

    Args:
        out: `Path` of the folder.
        first, second: `Predictions`, as in `compare.compare`.
        names: two str, how they are called in the picture.

    Returns:
        list of `Path`.
    """
    if names[0] == names[1]:
        names = ("the first", "the other")
    found = {"first": names[0], "second": names[1]}
    found |= compare.compare(first, second)
    paths = [out / "comparison.json", out / "differences.csv"]
    write_json(paths[0], found)
    compare.write_differences(paths[1], first, second)
    picture = out / "differences.png"
    if compare.differences_figure(picture, first, second, thumbnail, names):
        return [*paths, picture]
    picture.unlink(missing_ok=True)
    return paths


def write_rows(path_out, rows, columns=None):
    """Writes a list of dicts as a CSV, in one step.

    Args:
        path_out: str or Path.
        rows: list of dict; what a row lacks is left empty.
        columns: sequence of str, or `None` for all that the rows have.
    """
    columns = columns or dict.fromkeys(name for row in rows for name in row)
    with atomic_path(path_out) as temporary:
        with temporary.open(
            "w", encoding="utf-8", errors="surrogateescape", newline=""
        ) as stream:
            writer = csv.DictWriter(stream, columns)
            writer.writeheader()
            writer.writerows(rows)


def thumbnail(path):
    """Reads a photo as a small picture of the same shape.

    Args:
        path: str or Path.

    Returns:
        uint8 array `(height, width, 3)`, the longer side 192 pixels.
    """
    from mamc_keras.data.decode import decode_image
    from mamc_keras.data.decode import resize_image
    from mamc_keras.data.reading import read_bytes

    photo = decode_image(read_bytes(path))
    scale = THUMBNAIL / max(photo.shape[:2])
    size = [max(1, round(side * scale)) for side in photo.shape[:2]]
    return np.asarray(resize_image(photo, size, False), np.uint8)
