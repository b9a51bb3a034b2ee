"""Is one classifier better than another on the same photos?"""

import csv

import numpy as np
from matplotlib.figure import Figure
from scipy.stats import binomtest

from mamc_keras.evaluation import drawing
from mamc_keras.evaluation.bootstrap import paired_difference
from mamc_keras.files import atomic_path

SHOWN = 12  # photos on each side of the picture
COLUMNS = 4


def compare(first, second):
    """Counts the photos on which two classifiers differ, and tests it.

    McNemar's test looks at the photos that one of them alone gets right: if
    both were equally good, each would win half of these, so the p-value is
    that of an exact binomial test. The interval of the difference is
    `paired_difference`'s.

    Args:
        first: `Predictions`.
        second: `Predictions` of the same photos in the same order, with the
            same class names in any order.

    Returns:
        dict: `images`, `top1` and `top1_against`, `difference` with
        `difference_low` and `difference_high` (95 %), `both_right`,
        `only_first`, `only_second`, `neither` (photos), `other_answer`
        (photos with different answers), and `p_value`, 1 when they never
        differ in what is right.

    Raises:
        ValueError: when the photos or their classes are not the same.

    Reference:

    - [McNemar, 1947](https://doi.org/10.1007/BF02295996)
    """
    check_paired(first, second)
    right = first.predicted == first.labels
    other = second.predicted == second.labels
    only_first = int((right & ~other).sum())
    only_second = int((~right & other).sum())
    difference, low, high = paired_difference(right, other)
    discordant = only_first + only_second
    return {
        "images": len(first),
        "top1": float(right.mean()),
        "top1_against": float(other.mean()),
        "difference": difference,
        "difference_low": low,
        "difference_high": high,
        "both_right": int((right & other).sum()),
        "only_first": only_first,
        "only_second": only_second,
        "neither": int((~right & ~other).sum()),
        "other_answer": int((answers(first) != answers(second)).sum()),
        "p_value": float(binomtest(only_first, discordant).pvalue)
        if discordant
        else 1.0,
    }


def check_paired(first, second):
    """Makes sure that two tables are of the same photos and classes.

    Args:
        first, second: `Predictions`.

    Raises:
        ValueError: when they are not.
    """
    same = first.paths == second.paths and np.array_equal(
        np.array(first.class_names)[first.labels],
        np.array(second.class_names)[second.labels],
    )
    if not same or not len(first):
        raise ValueError(
            "Two classifiers are compared on the same photos. Received: "
            f"{len(first)} photos and {len(second)} photos that differ in "
            "names, order or classes. Evaluate both on one source."
        )


def answers(predictions):
    """The name of each photo's most probable class.

    Args:
        predictions: `Predictions`.

    Returns:
        str array `(n,)`.
    """
    return np.array(predictions.class_names)[predictions.predicted]


def write_differences(path_out, first, second):
    """Writes the photos on which two classifiers give different answers.

    Args:
        path_out: str or Path of the CSV. Columns: `path`, `label`, `answer`,
            `probability`, `answer_against`, `probability_against`, and
            `right`: `first`, `second` or `neither`.
        first, second: `Predictions`, as in `compare`.
    """
    check_paired(first, second)
    said, other = answers(first), answers(second)
    sure = first.probabilities.max(axis=1)
    other_sure = second.probabilities.max(axis=1)
    with atomic_path(path_out) as temporary:
        with temporary.open(
            "w", encoding="utf-8", errors="surrogateescape", newline=""
        ) as stream:
            writer = csv.writer(stream)
            writer.writerow(
                ["path", "label", "answer", "probability"]
                + ["answer_against", "probability_against", "right"]
            )
            for i in np.flatnonzero(said != other):
                label = first.class_names[first.labels[i]]
                right = "neither"
                if label in (said[i], other[i]):
                    right = "first" if label == said[i] else "second"
                row = [first.paths[i], label, said[i], f"{sure[i]:.6f}"]
                row += [other[i], f"{other_sure[i]:.6f}", right]
                writer.writerow(row)


def differences_figure(path_out, first, second, read, names=("A", "B")):
    """Draws photos that one classifier alone gets right, side by side.

    Left are photos that only the first gets right, right those of the
    second; the surest mistakes come first.

    Args:
        path_out: str or Path of the PNG.
        first, second: `Predictions`, as in `compare`.
        read: callable from a path to a uint8 array `(height, width, 3)`.
        names: two str, how the classifiers are called.

    Returns:
        bool: whether there was anything to draw; no file is written if not.
    """
    check_paired(first, second)
    right = first.predicted == first.labels
    other = second.predicted == second.labels
    sides = [
        (right & ~other, second, names[0]),
        (~right & other, first, names[1]),
    ]
    chosen = []
    for which, wrong, _ in sides:
        index = np.flatnonzero(which)
        sure = wrong.probabilities.max(axis=1)[index]
        chosen.append(index[np.argsort(-sure, kind="stable")][:SHOWN])
    if not any(map(len, chosen)):
        return False
    lines = max(-(-len(c) // COLUMNS) for c in chosen)
    figure = Figure(
        figsize=(2 * COLUMNS * 1.75, 2.5 * lines + 0.6), layout="constrained"
    )
    halves = figure.subfigures(1, 2, wspace=0.03)
    for half, index, (which, wrong, name) in zip(
        halves, chosen, sides, strict=True
    ):
        half.suptitle(
            f"Only {name} is right: {which.sum()} of {len(first):,} photos"
            + (f", {len(index)} shown" if which.sum() > len(index) else ""),
            fontsize=11,
        )
        axes = half.subplots(lines, COLUMNS, squeeze=False).ravel()
        for axis in axes[len(index) :]:
            drawing.show(axis, None)
        sure = wrong.probabilities.max(axis=1)
        said = answers(wrong)
        for axis, i in zip(axes, index, strict=False):
            true = drawing.wrapped(first.class_names[first.labels[i]], 22)
            axis.set_title(true, fontsize=8, color="#1a7a1a", parse_math=False)
            mistake = drawing.wrapped(
                f"not {drawing.readable_name(said[i])}", 22
            )
            drawing.show(
                axis,
                read(first.paths[i]),
                f"{drawing.wrapped(mistake, 22)} ({sure[i]:.0%})",
                "#b02020",
            )
    figure.supxlabel(
        "green: what it is; red: what the other one said, and how sure it was",
        fontsize=9,
    )
    drawing.save(figure, path_out)
    return True
