"""The same measures on parts of the photos: where does a model fail?"""

import csv
import dataclasses
import os
from pathlib import Path

import numpy as np
from scipy.stats import binomtest

from mamc_keras.data.checking.headers import read_header
from mamc_keras.data.reading import read_bytes
from mamc_keras.evaluation import metrics

UNLISTED = "(not in the file)"
MOST_VALUES = 12  # more different numbers than this are put into quarters


def class_size_slice(predictions, counts):
    """Groups photos by the number of training photos of their class.

    Args:
        predictions: `Predictions`.
        counts: int array `(num_classes,)`, training photos by class.

    Returns:
        list of `n` str.
    """
    return quarters(np.asarray(counts)[predictions.labels], "training photos")


def photo_size_slice(predictions):
    """Groups photos by their shorter side in pixels, as the files say it.

    Args:
        predictions: `Predictions`.

    Returns:
        list of `n` str.
    """
    return quarters(short_sides(predictions.paths), "px")


def short_sides(paths):
    """Reads the shorter side of photos.

    Args:
        paths: sequence of str.

    Returns:
        list of int, pixels.
    """
    headers = [read_header(read_bytes(path)) for path in paths]
    return [min(header.width, header.height) for header in headers]


def quarters(values, unit=""):
    """Groups numbers into at most four parts of about equal size.

    Args:
        values: sequence of numbers.
        unit: str, written after them.

    Returns:
        list of str such as `"30 to 41 px"`; equal values are never divided.
    """
    values = np.asarray(values, float)
    ends = np.unique(np.quantile(values, [0.25, 0.5, 0.75], method="lower"))
    part = np.searchsorted(ends, values, side="left")
    names = {}
    for p in np.unique(part):
        low, high = values[part == p].min(), values[part == p].max()
        text = f"{low:g}" if low == high else f"{low:g} to {high:g}"
        names[p] = f"{text} {unit}".strip()
    return [names[p] for p in part]


def read_slices(file, predictions):
    """Reads the columns of a CSV as groups of photos.

    Args:
        file: str or Path. The first line names the columns; `path` is
            relative to the CSV's folder or absolute. A column of numbers with
            more than 12 different ones is put into quarters.
        predictions: `Predictions`.

    Returns:
        dict from each other column to a list of `n` str; photos that the file
        does not name are `(not in the file)`.

    Raises:
        ValueError: without such columns, or when no photo is named.
    """
    file = Path(file)
    try:
        with file.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.DictReader(stream)
            rows = list(reader)
            columns = [c for c in reader.fieldnames or () if c != "path"]
            named = "path" in (reader.fieldnames or ())
    except (csv.Error, UnicodeDecodeError) as error:
        raise ValueError(
            f"The slices are no CSV that can be read ({error}). Received: "
            f"{str(file)!r}. Save it as UTF-8 with commas."
        ) from error
    if not named or not columns:
        raise ValueError(
            "Slices need a column 'path' and one or more others. Received: "
            f"{str(file)!r} with {columns + ['path'] * named}. Name the "
            "columns in the first line."
        )
    known = {
        os.path.realpath(file.parent / row["path"]): row
        for row in rows
        if row["path"]
    }
    found = [known.get(os.path.realpath(p)) for p in predictions.paths]
    if not any(found):
        raise ValueError(
            "The slices name none of these photos. Received: "
            f"{str(file)!r} with {len(rows)} rows; the first photo is "
            f"{predictions.paths[0]!r}. Give paths from the CSV's folder."
        )
    return {c: _grouped(c, found) for c in columns}


def _grouped(column, rows):
    """Values of one column; many different numbers become quarters."""
    values = [row and (row[column] or "").strip() for row in rows]
    stated = [v for v in values if v]
    try:
        numbers = [float(v) for v in stated]
        many = len(set(numbers)) > MOST_VALUES and np.isfinite(numbers).all()
    except ValueError:
        many = False
    parts = iter(quarters(numbers) if many else stated)
    return [
        next(parts) if v else (UNLISTED if v is None else "(empty)")
        for v in values
    ]


def slice_rows(predictions, groups):
    """Measures every group of every slice.

    Args:
        predictions: `Predictions`.
        groups: dict from the name of a slice to a list of `n` str.

    Returns:
        list of dict: `slice`, `value`, `images`, `top1` with Wilson's 95 %
        interval `top1_low` and `top1_high`, `macro`, `nll`. A slice with one
        group of all photos says nothing new and is left out.
    """
    right = predictions.predicted == predictions.labels
    rows = []
    for name, values in groups.items():
        values = np.array(values)
        different = sorted(set(values.tolist()), key=_order)
        for value in different if len(different) > 1 else ():
            own = np.flatnonzero(values == value)
            hits = int(right[own].sum())
            low, high = binomtest(hits, len(own)).proportion_ci(method="wilson")
            part = _take(predictions, own)
            rows.append(
                {
                    "slice": name,
                    "value": value,
                    "images": len(own),
                    "top1": hits / len(own),
                    "top1_low": float(low),
                    "top1_high": float(high),
                    "macro": metrics.macro_accuracy(part),
                    "nll": metrics.negative_log_likelihood(part),
                }
            )
    return rows


def _take(predictions, index):
    return dataclasses.replace(
        predictions,
        paths=[predictions.paths[i] for i in index],
        labels=predictions.labels[index],
        logits=predictions.logits[index],
        embeddings=predictions.embeddings[index],
    )


def _order(value):
    """Numbers by size, before names by letters."""
    try:
        return 0, float(value.split(" ")[0]), value
    except ValueError:
        return 1, 0.0, value
