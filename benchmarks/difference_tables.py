"""The shipped arm against the others: tables of paired differences."""

import numpy as np
from ablation_rows import BASELINE
from ablation_rows import NAMES
from ablation_rows import SHIPPED
from ablation_rows import beside
from ablation_rows import by_arm
from ablation_rows import interval
from ablation_rows import on_common_seeds
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

# Pairs without the shipped arm, for docs/reproduction.md.
OTHERS = (
    ("label_smoothing", BASELINE),
    ("projections", BASELINE),
    ("osme", BASELINE),
    ("osme_mamc_literal", BASELINE),
    ("npair_one_branch", BASELINE),
    ("osme", "projections"),
    ("osme_triplet", "osme"),
    ("osme_contrastive", "osme"),
)


def _line(names, pair):
    """What the first arm of a pair gains over the second."""

    def change(column, factor):
        first, second = (np.mean([float(r[column]) for r in g]) for g in pair)
        return f"{factor * (first - second):+.{2 - (factor > 1)}f}"

    return [
        *names,
        str(len(pair[0])),
        interval(*map(right, pair)),
        change("recall@1", 100),
        change("map@r", 100),
        change("nll", 1),
    ]


def _table(names, lines):
    header = (
        *names,
        "seeds",
        "top-1, points (95 % interval)",
        "recall@1",
        "MAP@R",
        "NLL",
    )
    return table(header, lines)


def _compared(pairs, file):
    """Yields (set, arm, rival, rows of both), where both have a seed."""
    groups = by_arm(file)
    for data in sorted({key[0] for key in groups}):
        for arm, rival in pairs:
            pair = beside(groups, data, arm, rival)
            if pair[0]:
                yield data, arm, rival, pair


def differences(rivals=RIVALS, file="results/ablation.csv"):
    """The shipped arm against others, on the seeds that both have."""
    lines = [
        _line((data, NAMES[rival]), pair)
        for data, _, rival, pair in _compared(
            [(SHIPPED, rival) for rival in rivals], file
        )
    ]
    return _table(("set", "against"), lines)


def conventions():
    """The shipped arm against its own variants, for docs/math.md."""
    return differences(VARIANTS)


def whole_differences():
    """The shipped arm against others with every stage trained."""
    rivals = [arm for arm in NAMES if arm != SHIPPED]
    return differences(rivals, "results/whole.csv")


def others():
    """Other arms against each other."""
    lines = [
        _line((data, NAMES[arm], NAMES[rival]), pair)
        for data, arm, rival, pair in _compared(OTHERS, "results/ablation.csv")
    ]
    return _table(("set", "arm", "against"), lines)


def rate_differences():
    """The shipped arm against others whose upper stages learn at 6e-4."""
    usual, twice = by_arm(), by_arm("results/ablation_0.0006.csv")
    lines = []
    for (data, arm), group in twice.items():
        for rate, groups in (("3e-4", usual), ("6e-4", twice)):
            pair = on_common_seeds(groups.get((data, SHIPPED), []), group)
            if pair[0] and arm != SHIPPED:
                lines.append(_line((data, rate, NAMES[arm]), pair))
    names = ("set", "the shipped arm at", "against, at 6e-4")
    return _table(names, lines)
