"""The tables of docs/trust.md: unknown photos, and the temperature."""

from ablation_rows import NAMES
from markdown import grouped
from markdown import rows
from markdown import spread
from markdown import table

SCORES = {
    "max_probability": "largest probability",
    "energy": "energy",
    "prototype": "nearest prototype",
    "mahalanobis": "Mahalanobis",
}
PERCENT = (
    "near_fpr95",
    "far_fpr95",
    "false_alarms",
    "near_caught",
    "far_caught",
)


def unknown():
    """Every score on every set: mean and spread over the seeds."""
    lines = []
    groups = grouped(rows("results/unknown.csv"), "set", "arm", "score")
    for (data, arm, score), group in sorted(
        groups.items(), key=lambda g: (g[0][:2], list(SCORES).index(g[0][2]))
    ):
        area = {
            name: spread([float(r[f"{name}_auroc"]) for r in group], 3)
            for name in ("choice", "near", "far")
        }
        share = {
            name: spread([100 * float(r[name]) for r in group], 1)
            for name in PERCENT
        }
        lines.append(
            [
                data,
                NAMES[arm].strip("*"),
                SCORES[score],
                str(len(group)),
                area["choice"],
                area["near"],
                share["near_fpr95"],
                area["far"],
                share["far_fpr95"],
                share["false_alarms"],
                share["near_caught"],
                share["far_caught"],
            ]
        )
    header = ("set", "arm", "score", "seeds", "AUROC to choose by")
    header += ("near AUROC", "near FPR95 %", "far AUROC", "far FPR95 %")
    header += ("false alarms %", "near caught %", "far caught %")
    return table(header, lines)


def temperature():
    """NLL and calibration error of known test photos, before and after."""
    lines = []
    groups = grouped(rows("results/calibration.csv"), "set", "arm")
    for (data, arm), group in sorted(groups.items()):
        line = [data, NAMES[arm].strip("*"), str(len(group))]
        for column, factor, digits in (
            ("temperature", 1, 2),
            ("nll", 1, 2),
            ("nll_calibrated", 1, 2),
            ("ece", 100, 1),
            ("ece_calibrated", 100, 1),
        ):
            values = [factor * float(r[column]) for r in group]
            line.append(spread(values, digits))
        lines.append(line)
    header = ("set", "arm", "seeds", "temperature", "NLL", "NLL after")
    header += ("ECE %", "ECE % after")
    return table(header, lines)
