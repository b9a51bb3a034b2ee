"""The search for a better default as tables of docs/reproduction.md."""

import numpy as np
from ablation_rows import interval
from ablation_rows import on_common_seeds
from ablation_rows import right
from markdown import grouped
from markdown import rows
from markdown import table

SHIPPED = "shipped"
SCREENING, FINAL = 6, 12  # epochs
WORDS = {
    SHIPPED: "the shipped default",
    "plain_softmax": "plain softmax",
    "npair_one_branch": "one projection, SASC alone",
    "no_gates": "no gates",
    "gates_identity": "gates that start as identity",
    "gates_apart": "gates that start apart, each with channels of its own",
    "gates_slow": "gates that learn at a tenth of the rate",
    "gates_decayed": "L2 penalty on the gates",
    "gates_dropped": "dropout 0.3 on the gates",
    "gates_of_places": "gates over places and channels",
    "neck": "batch normalisation before the classifier",
    "neck_npair_one_branch": "batch normalisation, one projection, SASC alone",
    "neck_plain_softmax": "batch normalisation, plain softmax",
    "neck_plain_softmax_1e-3": "batch normalisation, plain softmax, head 1e-3",
    "neck_no_gates": "batch normalisation, no gates",
    "neck_no_mamc": "batch normalisation, no MAMC",
    "neck_lambda_1": "batch normalisation, lambda 1",
    "neck_lambda_2": "batch normalisation, lambda 2",
    "neck_literal": "batch normalisation, MAMC by the letter",
    "literal": "MAMC by the letter",
    "classifier_a_branch": "one classifier a branch, logits averaged",
    "memory_512": "memory of 512 earlier images as negatives",
    "classes_32": "32 classes a batch",
    "lambda_0.25": "lambda 0.25",
    "lambda_1": "lambda 1",
    "lambda_2": "lambda 2",
    "lambda_rising": "lambda rising over the first third",
    "raw_products": "raw products",
    "sum_positives": "sum over positives",
    "temperature_0.05": "temperature 0.05",
    "temperature_0.2": "temperature 0.2",
    "terms_1_1_0": "SASC + SADC",
    "terms_1_0.5_0.5": "half the weight for SADC and DASC",
    "p_3": "P = 3",
    "p_4": "P = 4",
    "d_128": "D = 128",
    "d_256": "D = 256",
    "d_1024": "D = 1024",
    "grid_2": "grid_size 2",
    "grid_3": "grid_size 3",
    "stage_a_branch": "one branch on each of the last two stages",
    "two_stages": "P branches on each of the last two stages",
    "rate_6e-4": "twice the upper stages' rate",
    "rate_6e-4_npair_one_branch": "that rate, one projection, SASC alone",
    "rate_6e-4_plain_softmax": "that rate, plain softmax",
    "averaged_weights": "moving average of the weights",
    "dropout_0.5": "dropout 0.5 before the classifier",
    "label_smoothing": "label smoothing 0.1",
    "strong_views": "strong augmentation",
    "pixels_288": "288 pixels",
    "whole_map": "the whole map (grid_size None)",
}


def changes(measured, idea):
    """What an idea changes of the shipped default, on seeds that all have.

    Returns `(seeds, by_set, pooled, others)`: the number of seeds, the points
    of top-1 of each set, over the photos of all sets together with the
    interval, and the mean over the sets of what recall@1 and MAP@R (points) and
    NLL change and of the share of photos whose branches have the same peak.
    None without a row to compare.
    """
    groups = grouped(measured, "set", "idea")
    sets = {
        data: (groups[data, idea], groups[data, SHIPPED])
        for data in sorted({r["set"] for r in measured})
        if (data, idea) in groups and (data, SHIPPED) in groups
    }
    # A seed that one set lacks would not pair with the other sets' photos.
    runs = [group for pair in sets.values() for group in pair]
    every = on_common_seeds(*runs) if runs else [[]]
    if not every[0]:
        return None
    by_set, others, answers = {}, [], []
    for data, new, old in zip(sets, every[::2], every[1::2], strict=True):
        pairs = list(zip(new, old, strict=True))
        top1, recall, map_at_r, nll = (
            np.mean([float(a[c]) - float(b[c]) for a, b in pairs])
            for c in ("top1", "recall@1", "map@r", "nll")
        )
        by_set[data] = 100 * top1
        same_peak = np.mean([float(r["same_peak"]) for r in new])
        others.append((100 * recall, 100 * map_at_r, nll, 100 * same_peak))
        answers.append((right(new), right(old)))
    pair = (np.concatenate(x, axis=1) for x in zip(*answers, strict=True))
    return len(every[0]), by_set, interval(*pair), np.mean(others, axis=0)


def _table(epochs):
    measured = [
        r for r in rows("results/ideas.csv") if int(r["epochs"]) == epochs
    ]
    sets = sorted({r["set"] for r in measured})
    lines = []
    for idea, words in WORDS.items():
        changed = changes(measured, idea)
        if changed is None:
            continue
        seeds, by_set, pooled, others = changed
        recall, map_at_r, nll, same_peak = others
        lines.append(
            [
                words,
                str(seeds),
                *(f"{by_set[s]:+.1f}" if s in by_set else "-" for s in sets),
                pooled,
                f"{recall:+.1f}",
                f"{map_at_r:+.1f}",
                f"{nll:+.2f}",
                "-" if np.isnan(same_peak) else f"{same_peak:.0f}",
            ]
        )
    if not lines:
        return "(not measured yet)"
    header = (
        "idea",
        "seeds",
        *(f"top-1, {name}" for name in sets),
        "all photos (95 % interval)",
        "recall@1",
        "MAP@R",
        "NLL",
        "same peak, % of photos",
    )
    return table(header, lines)


def ideas():
    """Every idea against the shipped default, half the epochs."""
    return _table(SCREENING)


def finalists():
    """The best ideas against the shipped default, all epochs."""
    return _table(FINAL)
