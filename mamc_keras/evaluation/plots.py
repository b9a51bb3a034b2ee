"""Pictures of a training run, written as files.

Figures are objects here and no state of pyplot is touched: drawing works in
threads, without a screen, and inside a program that draws figures itself.
"""

import re
import textwrap
import warnings

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from mamc_keras.evaluation import metrics
from mamc_keras.evaluation import overlays
from mamc_keras.files import atomic_path

CELL = 2.2  # inches, the side of one photo
LONGEST = 48  # characters of a name
TERMS = ("sasc", "sadc", "dasc")


def readable_name(name):
    """Makes a folder's name a title: `001.Black_Bird` is `Black Bird`.

    A name that is too long for a picture is cut.

    Args:
        name: str.

    Returns:
        str.
    """
    shorter = re.sub(r"^\d+[._ -]+(?=\S)", "", name)
    shorter = shorter.replace("_", " ").strip() or name
    return shorter if len(shorter) <= LONGEST else shorter[:LONGEST] + "…"


def attention_figure(path_out, photos, maps, titles, evidence=None):
    """Draws photos, where each branch looks, and how the branches differ.

    The heat of a branch is scaled for each photo from its lowest to its
    highest value. Branches often look at much the same place, so the last
    columns show what sets them apart: each map is divided by its sum, which
    gives the share of attention that a place gets, and the shares are
    subtracted. Two branches need one such column (1 minus 2), more need one
    each (the branch minus the mean of all).

    With `evidence` more columns follow: what each place adds to the answer's
    logit (red) or takes from it (blue), by branch, and what speaks for the
    answer rather than for the next probable class.

    Args:
        path_out: str or Path of the PNG.
        photos: sequence of uint8 arrays `(height, width, 3)`.
        maps: float array `(n, num_attentions, map_height, map_width)`.
        titles: sequence of `n` str, written under the photos.
        evidence: `None`, or `(branches, against, rivals)`: float arrays
            `(n, num_attentions, map_height, map_width)` and `(n, map_height,
            map_width)`, and `n` str, the names of the next classes.

    Raises:
        ValueError: when there are no photos, or not one map and title each.
    """
    maps = np.asarray(maps, np.float64)
    if not len(photos) == len(maps) == len(titles) or maps.ndim != 4:
        raise ValueError(
            "Every photo has one title and one map a branch. Received: "
            f"{len(photos)} photos, maps {maps.shape}, {len(titles)} titles."
        )
    if not len(photos):
        raise ValueError("There are no photos to draw. Received: 0 photos.")
    differences = overlays.differences(maps)
    # One scale for the whole figure: rows can be compared.
    limit = np.abs(differences).max(initial=overlays.LEAST_DIFFERENCE)
    elsewhere = overlays.share_elsewhere(maps)
    heads = ["photo"]
    heads += [f"branch {p + 1}" for p in range(maps.shape[1])]
    if differences.shape[1] == 1:
        heads.append("branch 1 − branch 2\nred: more of 1, blue: more of 2")
    else:
        heads += [
            f"branch {p + 1} − mean\nred: more, blue: less"
            for p in range(differences.shape[1])
        ]
    last = len(heads) - 1
    if evidence:
        heads += [
            f"branch {p + 1} for the answer\nred: adds, blue: takes"
            for p in range(maps.shape[1])
        ]
        heads.append("this rather than the next")
    size = (CELL * len(heads), (CELL + 0.35) * len(photos) + 0.4)
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots(len(photos), len(heads), squeeze=False)
    for row, photo in enumerate(photos):
        photo = np.asarray(photo)
        pictures = [photo]
        pictures += [overlays.heat(photo, m) for m in maps[row]]
        pictures += [overlays.tint(photo, d, limit) for d in differences[row]]
        if evidence:
            pictures += _evidence(photo, evidence, row, axes[row, last + 1 :])
        for axis, picture in zip(axes[row], pictures, strict=True):
            axis.imshow(picture)
            axis.set_xticks([])
            axis.set_yticks([])
        name, *rest = str(titles[row]).split("\n")
        lines = [*textwrap.wrap(readable_name(name), 28), *rest]
        axes[row, 0].set_xlabel("\n".join(lines), parse_math=False, fontsize=9)
        if differences.shape[1]:
            axes[row, last].set_xlabel(
                f"{elsewhere[row]:.1%} of the attention\nis not shared",
                fontsize=9,
            )
    for axis, head in zip(axes[0], heads, strict=True):
        axis.set_title(head, fontsize=9)
    _save(figure, path_out)


def _evidence(photo, evidence, row, axes):
    """Pictures of one photo's evidence; sums are written under them."""
    branches, against, rivals = (values[row] for values in evidence)
    # The branches of a photo have one scale: a pale one adds little.
    limit = max(np.abs(branches).max(), 1e-12)
    pictures = [overlays.tint(photo, values, limit) for values in branches]
    limit = max(np.abs(against).max(), 1e-12)
    pictures.append(overlays.tint(photo, against, limit))
    for axis, values in zip(axes, branches, strict=False):
        axis.set_xlabel(f"{values.sum():+.1f} above the mean logit", fontsize=9)
    name = "\n".join(textwrap.wrap(f"than {readable_name(rivals)}", 28))
    text = f"{name}\n{against.sum():+.1f}"
    axes[-1].set_xlabel(text, parse_math=False, fontsize=9)
    return pictures


def learning_curves(path_out, history):
    """Draws loss, MAMC terms and accuracy over the epochs.

    Args:
        path_out: str or Path of the PNG.
        history: dict of lists with one value an epoch, as `fit` returns it:
            `loss`, and as far as there, `val_loss`, `accuracy`,
            `val_accuracy`, `sasc`, `sadc`, `dasc`.

    Raises:
        ValueError: when there is no epoch in it.
    """
    if not len(history.get("loss", ())):
        raise ValueError(
            "There is nothing to draw. Received: a history without losses, "
            f"its keys are {sorted(history)}. Give `model.fit(...).history`."
        )
    terms = [name for name in TERMS if name in history]
    both = "training: cross-entropy + MAMC" if terms else "training"
    panels = [
        (
            "loss",
            [("loss", both), ("val_loss", "validation: cross-entropy")],
        )
    ]
    if terms:
        panels.append(("MAMC terms", [(name, name.upper()) for name in terms]))
    panels.append(
        (
            "accuracy, %",
            [("accuracy", "training"), ("val_accuracy", "validation")],
        )
    )
    panels = [
        (title, [line for line in lines if line[0] in history])
        for title, lines in panels
    ]
    panels = [panel for panel in panels if panel[1]]
    figure = Figure(figsize=(4.2 * len(panels), 3.4), layout="constrained")
    axes = figure.subplots(1, len(panels), squeeze=False)[0]
    for axis, (title, lines) in zip(axes, panels, strict=True):
        factor = 100 if "%" in title else 1
        for key, label in lines:
            values = factor * np.asarray(history[key], np.float64)
            epochs = np.arange(1, len(values) + 1)
            # Markers show a run of a single epoch as well.
            axis.plot(epochs, values, marker="o", markersize=3, label=label)
        axis.set_title(title)
        axis.set_xlabel("epoch")
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
        axis.grid(alpha=0.3)
        if "%" in title:
            _mark_best(axis, history)
        axis.legend(fontsize=8)
    _save(figure, path_out)


def confusion_figure(path_out, predictions, worst=12):
    """Draws the classes that are mistaken for each other most.

    Rows are true classes, columns what the model said; the last column
    counts every other answer, so that a row adds up to its photos. Mistakes
    are red and right answers blue, both by their share of the row.

    Args:
        path_out: str or Path of the PNG.
        predictions: `Predictions`.
        worst: int. How many classes, at least 2.

    Raises:
        ValueError: when there are no photos, or `worst` is below 2.
    """
    if worst < 2:
        raise ValueError(
            "One class alone is confused with nothing. Received: "
            f"worst={worst}. Set it to 2 or more."
        )
    chosen = _worst_classes(predictions, worst)
    counts = _count_answers(predictions, chosen)
    photos = counts.sum(axis=1)
    shares = counts / np.maximum(photos, 1)[:, None]
    names = [readable_name(predictions.class_names[k]) for k in chosen]
    side = 0.5 * len(chosen) + 2.6
    figure = Figure(figsize=(side + 0.6, side), layout="constrained")
    axis = figure.subplots()
    right = np.eye(len(chosen), len(chosen) + 1, dtype=bool)
    colours = np.where(
        right[..., None],
        colormaps["Blues"](0.7 * shares),
        colormaps["Reds"](np.minimum(1.4 * shares, 0.8)),
    )
    colours[counts == 0] = 1
    axis.imshow(colours)
    for row, column in np.argwhere(counts):
        strong = shares[row, column] > (0.75 if right[row, column] else 0.45)
        axis.text(
            column,
            row,
            str(counts[row, column]),
            ha="center",
            va="center",
            fontsize=8,
            color="white" if strong else "black",
        )
    rows = [f"{n} ({k})" for n, k in zip(names, photos, strict=True)]
    axis.set_yticks(range(len(names)), rows, fontsize=8, parse_math=False)
    axis.set_xticks(
        range(len(names) + 1),
        [*names, "any other class"],
        rotation=45,
        ha="right",
        rotation_mode="anchor",
        fontsize=8,
        parse_math=False,
    )
    axis.axvline(len(names) - 0.5, color="black", linewidth=1)
    axis.set_xlabel("answer")
    axis.set_ylabel("true class (photos)")
    top1 = metrics.top_k_accuracy(predictions)
    axis.set_title(
        f"Most confused of {len(predictions.class_names)} classes; top-1 of "
        f"all {len(predictions):,} photos: {top1:.1%}",
        fontsize=10,
        loc="right",
    )
    _save(figure, path_out)


def _mark_best(axis, history):
    accuracy = np.asarray(history.get("val_accuracy", ()), np.float64)
    if not np.isfinite(accuracy).any():
        return
    losses = history.get("val_loss", np.zeros(len(accuracy)))
    # The rule by which a run keeps its preset.
    best = max(
        np.flatnonzero(np.isfinite(accuracy)),
        key=lambda i: (accuracy[i], -losses[i]),
    )
    axis.axvline(
        best + 1,
        color="grey",
        linestyle=":",
        label=f"best: epoch {best + 1}, {accuracy[best]:.1%}",
    )


def _worst_classes(predictions, count):
    """Classes of the most frequent mistakes, confused ones side by side."""
    number = {name: i for i, name in enumerate(predictions.class_names)}
    chosen = []
    for true, answer, _ in metrics.most_confused(predictions, 10 * count):
        for name in (true, answer):
            if number[name] not in chosen:
                chosen.append(number[name])
    present = np.unique(predictions.labels)
    chosen += [k for k in present if k not in chosen]
    return np.array(chosen[: min(count, len(predictions.class_names))])


def _count_answers(predictions, chosen):
    """Photos by true class and answer, others last: `(n, n + 1)`."""
    counts = np.zeros((len(chosen), len(chosen) + 1), np.int64)
    column = np.full(len(predictions.class_names), len(chosen))
    column[chosen] = np.arange(len(chosen))
    row = np.full(len(predictions.class_names), -1)
    row[chosen] = np.arange(len(chosen))
    mine = row[predictions.labels] >= 0
    answers = column[predictions.predicted]
    np.add.at(counts, (row[predictions.labels[mine]], answers[mine]), 1)
    return counts


def _save(figure, path_out):
    with atomic_path(path_out) as temporary, warnings.catch_warnings():
        # Names in a script that the font lacks become boxes, not warnings.
        warnings.filterwarnings("ignore", message="Glyph .* missing")
        figure.savefig(temporary, dpi=110, bbox_inches="tight")
