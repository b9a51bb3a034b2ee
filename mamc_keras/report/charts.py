"""Charts inside a page: drawn by matplotlib, coloured by the page."""

import io
import re
import warnings

import numpy as np
from matplotlib import rc_context
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from mamc_keras.evaluation.reliability import reliability_bins

# Becomes the colour of the page's text, light or dark.
INK = "#010203"
BLUE, ORANGE = "#3b82d6", "#d9772b"
STYLE = {
    "svg.fonttype": "none",
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "font.family": "sans-serif",
    "font.size": 11,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
}
SIZE = (4.4, 3.2)  # inches: readable on a phone


def accuracy_curve(history):
    """Draws accuracy over the epochs.

    Args:
        history: dict of lists, one value an epoch.

    Returns:
        str, an SVG in a div, or `""` without accuracies.
    """
    lines = [
        ("accuracy", "training", BLUE),
        ("val_accuracy", "validation", ORANGE),
    ]
    return _curves(history, lines, "right answers, %", 100, "accuracy")


def loss_curve(history):
    """Draws the losses over the epochs.

    Args:
        history: dict of lists, one value an epoch.

    Returns:
        str, an SVG in a div, or `""` without losses.
    """
    lines = [("loss", "training", BLUE), ("val_loss", "validation", ORANGE)]
    return _curves(history, lines, "loss", 1, "loss")


def class_chart(rows, counts, class_names):
    """Draws each class: how many photos it learned from, how well it does.

    Args:
        rows: list of dict of `metrics.per_class`.
        counts: sequence of int, training photos by class.
        class_names: sequence of str.

    Returns:
        str, an SVG in a div.
    """
    number = {name: k for k, name in enumerate(class_names)}
    x = np.array([counts[number[row["class_name"]]] for row in rows])
    y = np.array([100 * row["recall"] for row in rows])
    with rc_context({**STYLE, "svg.hashsalt": "classes"}):
        figure, axis = _figure()
        axis.scatter(x, y, s=18, color=BLUE, alpha=0.6)
        axis.set_xlabel("training photos of the class")
        axis.set_ylabel("recognised, %")
        axis.set_ylim(-3, 103)
        axis.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        return _svg(
            figure,
            "classes",
            f"A dot for each of {len(rows)} classes: training photos against "
            "the share recognised.",
        )


def reliability_chart(tables):
    """Draws how often answers are right against how sure they sound.

    Args:
        tables: dict from a name to `Predictions`.

    Returns:
        str, an SVG in a div.
    """
    with rc_context({**STYLE, "svg.hashsalt": "reliability"}):
        figure, axis = _figure()
        axis.plot([0, 100], [0, 100], ":", color="#888888", label="perfect")
        for (name, table), colour in zip(
            tables.items(), (BLUE, ORANGE), strict=False
        ):
            rows = reliability_bins(table)
            x = [100 * row["confidence"] for row in rows]
            y = np.array([100 * row["accuracy"] for row in rows])
            low = y - [100 * row["accuracy_low"] for row in rows]
            high = [100 * row["accuracy_high"] for row in rows] - y
            axis.errorbar(
                x,
                y,
                np.maximum([low, high], 0),
                fmt="o",
                color=colour,
                markersize=4,
                capsize=2,
                label=name,
            )
        axis.set_xlabel("how sure it said it was, %")
        axis.set_ylabel("how often it was right, %")
        axis.set_xlim(0, 103)
        axis.set_ylim(0, 103)
        axis.legend(fontsize=9)
        return _svg(
            figure,
            "reliability",
            "Share of right answers against the stated probability; dots on "
            "the dotted line mean that probabilities can be believed.",
        )


def _curves(history, lines, label, factor, salt):
    lines = [line for line in lines if history.get(line[0])]
    if not lines:
        return ""
    with rc_context({**STYLE, "svg.hashsalt": salt}):
        figure, axis = _figure()
        for key, name, colour in lines:
            values = factor * np.asarray(history[key], float)
            epochs = np.arange(1, len(values) + 1)
            axis.plot(
                epochs, values, "o-", markersize=3, color=colour, label=name
            )
        axis.set_xlabel("epoch")
        axis.set_ylabel(label)
        axis.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        axis.grid(alpha=0.25)
        axis.legend(fontsize=9)
        last = ", ".join(
            f"{name} ends at {factor * history[key][-1]:.3g}"
            for key, name, _ in lines
        )
        return _svg(figure, salt, f"{label} over the epochs: {last}.")


def _figure():
    figure = Figure(figsize=SIZE, layout="constrained")
    return figure, figure.subplots()


def _svg(figure, name, text):
    """The figure as an element of a page, with a text for who cannot see."""
    stream = io.StringIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing")
        empty = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        figure.savefig(stream, format="svg", transparent=True, metadata=empty)
    drawn = stream.getvalue()
    drawn = drawn[drawn.index("<svg") :]
    drawn = re.sub(r"<metadata>.*?</metadata>", "", drawn, flags=re.DOTALL)
    # The page gives the width; the view box keeps the shape.
    size = re.search(r'viewBox="[^"]*"', drawn)[0]
    drawn = re.sub(
        r"<svg [^>]*>",
        f'<svg xmlns="http://www.w3.org/2000/svg" '
        f'xmlns:xlink="http://www.w3.org/1999/xlink" {size} role="img" '
        f'aria-label="{text}">',
        drawn,
        count=1,
        flags=re.DOTALL,
    )
    # A page has each id once, whatever the charts call theirs.
    drawn = re.sub(r'(id="|href="#|url\(#)', rf"\1{name}-", drawn)
    return f"<div>{drawn.replace(INK, 'currentColor')}</div>"
