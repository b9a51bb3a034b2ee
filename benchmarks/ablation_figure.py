"""Draws the ablation: a dot a seed, a line at the mean, set by set.

Run: python benchmarks/ablation_figure.py
"""

import numpy as np
from ablation_rows import NAMES
from ablation_rows import SHIPPED
from ablation_rows import by_arm
from markdown import HERE
from matplotlib.figure import Figure

from mamc_keras.evaluation.drawing import save

FILE = HERE.parent / "docs/images/ablation.png"
MEASURES = {
    "top-1 %": ("top1", 100),
    "recall@1 %": ("recall@1", 100),
    "NLL (lower is better)": ("nll", 1),
}


def draw(groups):
    """One row of panels a measure, one column a set, one line an arm."""
    sets = sorted({data for data, _ in groups})
    arms = [a for a in NAMES if any((data, a) in groups for data in sets)]
    size = (3.2 * len(sets) + 2.2, len(MEASURES) * (0.27 * len(arms) + 0.8))
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots(
        len(MEASURES), len(sets), sharey=True, sharex="row", squeeze=False
    )
    for line, (label, (column, factor)) in zip(
        axes, MEASURES.items(), strict=True
    ):
        for axis, data in zip(line, sets, strict=True):
            for place, arm in enumerate(arms):
                group = groups.get((data, arm), [])
                values = [factor * float(row[column]) for row in group]
                if values:
                    colour = "C1" if arm == SHIPPED else "C0"
                    axis.plot(values, [place] * len(values), ".", c=colour)
                    axis.plot(np.mean(values), place, "|", ms=14, c=colour)
            axis.set_xlabel(label)
            axis.grid(axis="x", alpha=0.3)
        names = [NAMES[arm].strip("*") for arm in arms]
        line[0].set_yticks(range(len(arms)), names)
        line[0].set_ylim(len(arms) - 0.5, -0.5)
    for axis, data in zip(axes[0], sets, strict=True):
        axis.set_title(data)
    return figure


def main():
    save(draw(by_arm()), FILE)


if __name__ == "__main__":
    main()
