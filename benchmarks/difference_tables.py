"""The shipped arm against the others: tables of paired differences."""

import numpy as np
from ablation_rows import NAMES
from ablation_rows import SHIPPED
from ablation_rows import beside_shipped
from ablation_rows import by_arm
from ablation_rows import interval
from ablation_rows import right
from markdown import table

VARIANTS = (
    "osme_mamc_literal",
    "mamc_no_gates",
    "osme",
    "osme_sasc",
    "osme_sasc_sadc",
    "osme_sasc_dasc",
    "osme_sadc_dasc",
)
RIVALS = (
    "plain_softmax",
    "projections",
    "label_smoothing",
    "npair_one_branch",
    "osme_contrastive",
    "osme_triplet",
    "osme_npair",
    "osme_angular",
    "osme_supcon",
)


def differences(rivals=RIVALS, file="results/ablation.csv"):
    """The shipped arm against others, on the seeds that both have."""
    groups = by_arm(file)
    lines = []
    for data in sorted({key[0] for key in groups}):
        for rival in rivals:
            pair = beside_shipped(groups, data, rival)
            if not pair[0]:
                continue

            def change(column, factor, pair=pair):
                first, second = (
                    np.mean([float(r[column]) for r in g]) for g in pair
                )
                return f"{factor * (first - second):+.{2 - (factor > 1)}f}"

            lines.append(
                [
                    data,
                    NAMES[rival],
                    str(len(pair[0])),
                    interval(*map(right, pair)),
                    change("recall@1", 100),
                    change("map@r", 100),
                    change("nll", 1),
                ]
            )
    header = (
        "set",
        "against",
        "seeds",
        "top-1, points (95 % interval)",
        "recall@1",
        "MAP@R",
        "NLL",
    )
    return table(header, lines)


def conventions():
    """The shipped arm against its own variants, for docs/math.md."""
    return differences(VARIANTS)


def whole_differences():
    """The shipped arm against others with every stage trained."""
    rivals = [arm for arm in NAMES if arm != SHIPPED]
    return differences(rivals, "results/whole.csv")
