"""The picture of the slices: accuracy of parts of the photos."""

import numpy as np
from matplotlib.figure import Figure

from mamc_keras.evaluation import drawing

SHOWN = 40


def slices_figure(path_out, rows, overall):
    """Draws the accuracy of every group with its interval.

    Args:
        path_out: str or Path of the PNG.
        rows: list of dict from `slice_rows`; the first 40 are drawn.
        overall: float, top-1 of all photos.

    Raises:
        ValueError: without rows.
    """
    if not rows:
        raise ValueError(
            "There is no slice to draw. Received: 0 rows. Give one or more."
        )
    rows = rows[:SHOWN]
    figure = Figure(figsize=(7, 0.3 * len(rows) + 1.4), layout="constrained")
    axis = figure.subplots()
    y = np.arange(len(rows))
    top1 = 100 * np.array([row["top1"] for row in rows])
    low = 100 * np.array([row["top1_low"] for row in rows])
    high = 100 * np.array([row["top1_high"] for row in rows])
    names = list(dict.fromkeys(row["slice"] for row in rows))
    axis.axvline(100 * overall, color="grey", linestyle=":", label="all photos")
    for k, name in enumerate(names):
        own = [i for i, row in enumerate(rows) if row["slice"] == name]
        spread = np.maximum([top1 - low, high - top1], 0)[:, own]
        axis.errorbar(
            top1[own],
            y[own],
            xerr=spread,
            fmt="o",
            capsize=3,
            color=f"C{k % 10}",
        )
        if own[-1] < len(rows) - 1:
            axis.axhline(own[-1] + 0.5, color="lightgrey", linewidth=0.8)
    axis.set_yticks(
        y,
        [
            f"{drawing.readable_name(row['slice'])}: {row['value'][:40]} "
            f"({row['images']:,})"
            for row in rows
        ],
        fontsize=8,
        parse_math=False,
    )
    axis.set_ylim(len(rows) - 0.5, -0.5)
    axis.set_xlabel("top-1, %, with 95 % interval (photos in brackets)")
    axis.set_title("Where the model does well and badly", fontsize=10)
    axis.grid(alpha=0.3, axis="x")
    axis.legend(fontsize=8)
    drawing.save(figure, path_out)
