"""The ablation's rows by set and arm, and an arm beside another."""

import numpy as np
from markdown import grouped
from markdown import rows

from mamc_keras.evaluation.bootstrap import paired_difference

NAMES = {
    "plain_softmax": "plain softmax",
    "label_smoothing": "plain softmax, label smoothing 0.1",
    "projections": "P projections, no MAMC",
    "osme": "OSME, no MAMC",
    "osme_sasc": "OSME + SASC",
    "osme_sasc_sadc": "OSME + SASC + SADC",
    "osme_sasc_dasc": "OSME + SASC + DASC",
    "osme_sadc_dasc": "OSME + SADC + DASC",
    "osme_mamc_literal": "OSME + MAMC by the letter",
    "osme_mamc": "**OSME + MAMC as shipped**",
    "mamc_no_gates": "P projections + MAMC",
    "npair_one_branch": "one projection + SASC (N-pair)",
    "osme_contrastive": "OSME + contrastive pairs",
    "osme_triplet": "OSME + batch-hard triplet",
    "osme_npair": "OSME + N-pair",
    "osme_angular": "OSME + angular",
    "osme_supcon": "OSME + supervised contrastive",
}
SHIPPED = "osme_mamc"
BASELINE = "plain_softmax"


def by_arm(file="results/ablation.csv"):
    """Dict of (set, arm) to rows; the arms in the order of `NAMES`."""
    groups = grouped(rows(file), "set", "arm")
    order = list(NAMES)
    return dict(sorted(groups.items(), key=lambda g: order.index(g[0][1])))


def on_common_seeds(*groups):
    """The rows of the seeds that all groups have, each in their order."""
    seeds = set.intersection(*({r["seed"] for r in g} for g in groups))
    return [
        sorted(
            (r for r in g if r["seed"] in seeds), key=lambda r: int(r["seed"])
        )
        for g in groups
    ]


def right(group):
    """Bool array (seeds, photos) of rows in the order of their seeds."""
    photos = int(group[0]["images"])
    return np.stack(
        [
            np.unpackbits(np.frombuffer(bytes.fromhex(r["right"]), np.uint8))
            for r in sorted(group, key=lambda r: int(r["seed"]))
        ]
    )[:, :photos].astype(bool)


def beside(groups, data, *arms):
    """Rows of each arm on a set, on the seeds that all have."""
    return on_common_seeds(*(groups.get((data, arm), []) for arm in arms))


def interval(new, old):
    """Points of top-1 that answers gain over others, and 95 % interval."""
    mean, low, high = (100 * x for x in paired_difference(new, old))
    return f"{mean:+.1f} ({low:+.1f} to {high:+.1f})"
