"""The ablation's rows as the tables of docs/reproduction.md and README.md."""

import numpy as np
from markdown import grouped
from markdown import rows
from markdown import spread
from markdown import table

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
)
MEASURES = (
    "seeds",
    "top-1 %",
    "macro %",
    "NLL",
    "ECE %",
    "recall@1 %",
    "MAP@R %",
    "cosine of branches",
)


def by_arm(file="results/ablation.csv"):
    """Dict of (set, arm) to rows; the arms in the order of `NAMES`."""
    groups = grouped(rows(file), "set", "arm")
    order = list(NAMES)
    return dict(sorted(groups.items(), key=lambda g: order.index(g[0][1])))


def measures(group):
    """Cells of `MEASURES`: mean and spread over the seeds."""

    def cell(column, factor=100, digits=1):
        return spread([factor * float(r[column]) for r in group], digits)

    return [
        str(len(group)),
        cell("top1"),
        cell("macro"),
        cell("nll", 1, 2),
        cell("ece"),
        cell("recall@1"),
        cell("map@r"),
        cell("branch_cosine", 1, 2),
    ]


def arms(chosen=tuple(NAMES)):
    """Arms on every set: mean and spread over the seeds."""
    groups = by_arm()
    lines = []
    for name in sorted({key[0] for key in groups}):
        for (data, arm), group in groups.items():
            if data != name or arm not in chosen:
                continue
            lines.append([data, NAMES[arm], *measures(group)])
    return table(("set", "arm", *MEASURES), lines)


def whole():
    """What training every stage gives, above the same arms in fast mode."""
    fast, everything = by_arm(), by_arm("results/whole.csv")
    lines = []
    for key, group in everything.items():
        data, arm = key
        pair = on_common_seeds(group, fast.get(key, []))
        gain = interval(*map(right, pair)) if pair[0] else "-"
        lines.append([data, NAMES[arm], "everything", *measures(group), gain])
        if key in fast:
            cells = measures(fast[key])
            lines.append([data, NAMES[arm], "fast", *cells, "-"])
    header = ("set", "arm", "trained", *MEASURES, "top-1 over fast")
    return table(header, lines)


def shipped():
    """The shipped default and the plain softmax, for README.md."""
    return arms((BASELINE, SHIPPED))


def head_rate():
    """The plain softmax at the default's head rate, on earlier code."""
    default = grouped(rows("results/head_rate.csv"), "set")
    chosen = by_arm()
    lines = []
    for (data,), group in sorted(default.items()):
        line = [data]
        for runs in (group, chosen[data, BASELINE]):
            line.append(spread([100 * float(r["top1"]) for r in runs], 1))
            line.append(spread([float(r["nll"]) for r in runs], 2))
        lines.append(line)
    header = ("set", "1e-3: top-1 %", "NLL", "3e-3: top-1 %", "NLL")
    return table(header, lines)


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


def beside_shipped(groups, data, rival):
    """Rows of the shipped arm and of a rival, on the seeds that both have."""
    return on_common_seeds(
        *(groups.get((data, arm), []) for arm in (SHIPPED, rival))
    )


def interval(new, old):
    """Points of top-1 that answers gain over others, and 95 % interval."""
    mean, low, high = (100 * x for x in paired_difference(new, old))
    return f"{mean:+.1f} ({low:+.1f} to {high:+.1f})"


def conventions():
    """The shipped arm against its own variants, for docs/math.md."""
    return differences(VARIANTS)


def whole_differences():
    """The shipped arm against others with every stage trained."""
    rivals = [arm for arm in NAMES if arm != SHIPPED]
    return differences(rivals, "results/whole.csv")


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


def costs():
    """Weights, training step and phone's answer, against the plain softmax."""
    groups = grouped(rows("results/step_time.csv"), "arm")
    on_phones = {
        r["arm"]: f"{float(r['ratio_1_threads']):.2f}"
        for r in rows("results/mobile_costs.csv")
        if r["file"] == "model_int8.tflite"
    }
    seconds = {
        arm: {r["turn"]: float(r["seconds"]) for r in group}
        for (arm,), group in groups.items()
    }
    lines = []
    for arm, name in NAMES.items():
        if arm in seconds:
            ratios = [
                value / seconds[BASELINE][turn]
                for turn, value in seconds[arm].items()
            ]
            weights = int(groups[arm,][0]["weights"])
            lines.append(
                [
                    name,
                    f"{weights / 1e6:.1f}",
                    f"{np.median(ratios):.2f}",
                    on_phones.get(arm, "-"),
                ]
            )
    header = ("arm", "weights, millions", "training step", "int8 .tflite")
    return table(header, lines)


def trials():
    """What was tried on the validation part of the training photos."""
    lines = [
        [
            r["set"],
            NAMES[r["arm"]],
            r["trial"],
            f"{100 * float(r['val_top1']):.1f}",
            f"{float(r['val_nll']):.2f}",
        ]
        for r in rows("tuning.csv")
    ]
    return table(("set", "arm", "trial", "top-1 %", "NLL"), lines)
