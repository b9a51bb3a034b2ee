"""Learning curves and confusion, written as files.

Figures are objects here and no state of pyplot is touched: drawing works in
threads, without a screen, and inside a program that draws figures itself.
"""

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from mamc_keras.evaluation import drawing
from mamc_keras.evaluation import metrics

TERMS = ("sasc", "sadc", "dasc")


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
    drawing.save(figure, path_out)


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
    names = [drawing.readable_name(predictions.class_names[k]) for k in chosen]
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
    drawing.save(figure, path_out)


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
