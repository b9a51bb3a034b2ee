"""The ablation's rows as the tables of docs/reproduction.md and README.md."""

import numpy as np
from ablation_rows import BASELINE
from ablation_rows import NAMES
from ablation_rows import SHIPPED
from ablation_rows import by_arm
from ablation_rows import interval
from ablation_rows import on_common_seeds
from ablation_rows import right
from markdown import grouped
from markdown import rows
from markdown import spread
from markdown import table

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

# Arms whose trained file is another arm's but for the numbers in it. So are
# all with OSME's gates: the loss leaves nothing in the file.
HEADS = {"label_smoothing": BASELINE, "mamc_no_gates": "projections"}


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


def two_ways(file, way, usual, column):
    """Arms trained in another way, above the same arms as usual."""
    ablation, others = by_arm(), by_arm(file)
    lines = []
    for key, group in others.items():
        data, arm = key
        pair = on_common_seeds(group, ablation.get(key, []))
        gain = interval(*map(right, pair)) if pair[0] else "-"
        lines.append([data, NAMES[arm], way, *measures(group), gain])
        if key in ablation:
            cells = measures(ablation[key])
            lines.append([data, NAMES[arm], usual, *cells, "-"])
    header = ("set", "arm", column, *MEASURES, f"top-1 over {usual}")
    return table(header, lines)


def whole():
    """What training every stage gives."""
    return two_ways("results/whole.csv", "everything", "fast", "trained")


def rates():
    """What twice the upper stages' rate gives."""
    return two_ways("results/ablation_0.0006.csv", "6e-4", "3e-4", "rate")


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
            head = HEADS.get(arm, SHIPPED if arm.startswith("osme") else arm)
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
                    on_phones.get(head, "-"),
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
