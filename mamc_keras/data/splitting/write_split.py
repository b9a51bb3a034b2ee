"""Splits as lists: `train.csv`, `val.csv`, `test.csv` and `split.json`.

The lists are a source like any other; the photos stay where they are.
"""

import csv
import os
from pathlib import Path

import numpy as np

from mamc_keras.data.formats.folders import natural_key
from mamc_keras.data.splitting.split_groups import SPLITS
from mamc_keras.files import atomic_path
from mamc_keras.files import write_json

DETAILS = "split.json"
_COLUMNS = ("path", "label", "group")


def write_split(out, images, splits, groups, details):
    """Writes a folder of lists in one step.

    Args:
        out: str or Path. A new or empty folder.
        images: `ImageSet`.
        splits: int array `(num_images,)`, indices into `SPLITS`.
        groups: int array `(num_images,)`. Groups of two or more photos are
            numbered in the column `group`.
        details: dict of what `json` can write, for `split.json`.

    Returns:
        list of Path, the files.

    Raises:
        ValueError: when the folder is not empty, or a name cannot stand in a
            list.
    """
    out = Path(out)
    check_out(out)
    paths = _ways(images.paths, out)
    rows = list(
        zip(
            paths,
            [images.class_names[label] for label in images.labels],
            _group_names(groups),
            strict=True,
        )
    )
    for row in rows:
        _check_names(row)
    order = sorted(
        range(len(rows)),
        key=lambda i: (images.labels[i], natural_key(paths[i])),
    )
    with atomic_path(out) as temporary:
        temporary.mkdir()
        for number, name in enumerate(SPLITS):
            file = temporary / f"{name}.csv"
            with open(file, "w", newline="", encoding="utf-8") as stream:
                writer = csv.writer(stream)
                writer.writerow(_COLUMNS)
                writer.writerows(rows[i] for i in order if splits[i] == number)
        write_json(temporary / DETAILS, details)
    return [*(out / f"{name}.csv" for name in SPLITS), out / DETAILS]


def _ways(paths, out):
    """Relative to `out` for photos beside or below it, else absolute."""
    root = os.path.commonpath(
        {os.path.dirname(os.path.abspath(path)) for path in paths}
    )
    # Lists resolve their own folder first, so the way to a photo starts there.
    real, start = os.path.realpath(root), os.path.realpath(out)
    if not Path(real).is_relative_to(os.path.dirname(start)):
        return [os.path.abspath(path) for path in paths]
    way = os.path.relpath(real, start)
    return [
        Path(way, os.path.relpath(os.path.abspath(path), root)).as_posix()
        for path in paths
    ]


def check_out(out):
    """Raises a `ValueError` unless `out` is a new or an empty folder."""
    if not os.path.lexists(out):
        return
    if not Path(out).is_dir() or any(Path(out).iterdir()):
        raise ValueError(
            "A split is written to a folder of its own. Received: "
            f"'{out}', which is not empty. Give another folder or remove it."
        )


def _group_names(groups):
    """Numbers the groups of two or more photos from 1, "" for the others."""
    _, first, group, sizes = np.unique(
        groups, return_index=True, return_inverse=True, return_counts=True
    )
    shared = np.flatnonzero(sizes > 1)
    shared = shared[np.argsort(first[shared])]
    names = {int(g): str(k) for k, g in enumerate(shared, 1)}
    return [names.get(int(g), "") for g in group]


def _check_names(row):
    """A list is UTF-8, strips its cells and ends a row with a line."""
    for name in row[:2]:
        try:
            name.encode("utf-8")
            plain = name == name.strip() and len(name.splitlines()) == 1
        except UnicodeEncodeError:
            plain = False
        if not plain:
            raise ValueError(
                "A name cannot stand in a list: it begins or ends with a "
                f"space, has two lines or is no UTF-8. Received: {name!a}. "
                "Rename it."
            )
