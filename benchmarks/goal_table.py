"""What the project aims at beside what was measured, for reproduction.md."""

import numpy as np
from ablation_rows import BASELINE
from ablation_rows import SHIPPED
from ablation_rows import beside
from ablation_rows import by_arm
from markdown import table

ONE_BRANCH = "npair_one_branch"
SMOOTHED = "label_smoothing"
# (words, rival, column, what has to be gained; NLL as a share of the rival's)
GOALS = (
    ("top-1 over the plain softmax, points", BASELINE, "top1", 2.0),
    ("top-1 over it with label smoothing, points", SMOOTHED, "top1", 2.0),
    ("top-1 over one projection + SASC, points", ONE_BRANCH, "top1", 1.0),
    ("recall@1 over the plain softmax, points", BASELINE, "recall@1", 5.0),
    ("MAP@R over the plain softmax, points", BASELINE, "map@r", 0.0),
    ("NLL below the plain softmax's, %", BASELINE, "nll", 20.0),
)


def gain(new, old, column):
    """Points that the new rows gain, or per cent that their NLL is lower."""
    new, old = (np.mean([float(r[column]) for r in g]) for g in (new, old))
    return 100 * (old - new) / old if column == "nll" else 100 * (new - old)


def goals():
    """The shipped arm's mean gains, in bold where the goal is reached."""
    columns = {
        (data, trained): groups
        for trained, groups in (
            ("fast", by_arm()),
            ("everything trained", by_arm("results/whole.csv")),
        )
        for data in sorted({key[0] for key in groups})
    }
    lines = []
    for words, rival, measure, least in GOALS:
        line = [words, f"{least:g}"]
        for (data, _), groups in columns.items():
            new, old = beside(groups, data, SHIPPED, rival)
            if not new:
                line.append("-")
                continue
            value = gain(new, old, measure)
            cell = f"{value:+.1f}"
            line.append(f"**{cell}**" if value >= least else cell)
        lines.append(line)
    header = ("gain", "aim", *(", ".join(key) for key in columns))
    return table(header, lines)
