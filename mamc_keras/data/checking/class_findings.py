"""What is wrong with the classes of a data set: their sizes and names."""

import unicodedata
from collections import defaultdict

import numpy as np

from mamc_keras.data.checking.findings import Problem
from mamc_keras.data.checking.findings import listed

IMBALANCE = 10  # times as many images in the largest class as in the smallest


def class_sizes(images):
    """Finds lone images and very uneven classes.

    Args:
        images: `ImageSet`.

    Returns:
        list of `Problem`.
    """
    problems = []
    counts = images.class_counts()
    lone = [images.class_names[i] for i in np.flatnonzero(counts == 1)]
    if lone:
        message = (
            "One image is too few to learn a class from and to test it: "
            f"{listed(lone)}."
        )
        problems.append(Problem("", "lone image", message))
    present = counts[counts > 0]
    if len(present) and present.max() >= IMBALANCE * present.min():
        message = (
            f"The largest class has {present.max()} images and the smallest "
            f"{present.min()}. Rare classes will be recognised less well."
        )
        problems.append(Problem("", "imbalance", message))
    return problems


def absent_classes(reports):
    """Finds classes that a split does not cover.

    Args:
        reports: dict of split name to `CheckReport`.

    Returns:
        list of `Problem`.
    """
    problems = []
    for name, report in reports.items():
        counts = report.clean.class_counts()
        absent = [
            report.clean.class_names[i] for i in np.flatnonzero(counts == 0)
        ]
        if not absent or not report.num_images:
            continue
        message = (
            f"{name} has no image of {len(absent)} of {len(counts)} classes: "
            f"{listed(absent)}."
        )
        problems.append(Problem("", "absent class", message))
    return problems


def name_collisions(class_names):
    """Finds names that only a computer takes for different ones.

    Args:
        class_names: sequence of str.

    Returns:
        list of `Problem`, one for each group of names that differ only by
        upper and lower case, spaces or Unicode form.
    """
    groups = defaultdict(list)
    for name in class_names:
        groups[_as_read(name)].append(name)
    return [
        Problem(
            "",
            "name collision",
            f"{len(names)} classes have the same name but for case, spaces "
            f"or Unicode form: {listed([ascii(name) for name in names], 5)}. "
            "They are trained as different classes.",
        )
        for names in groups.values()
        if len(names) > 1
    ]


def _as_read(name):
    name = unicodedata.normalize("NFKC", name).casefold()
    # Folding the case can take the normal form away again.
    return " ".join(unicodedata.normalize("NFKC", name).split())
