"""The tables of docs/presets.md."""

from markdown import grouped
from markdown import rows
from markdown import spread
from markdown import table

WAYS = {
    "before": "trained without the new classes",
    "grown": "trained on from there on all photos",
    "afresh": "all classes from ImageNet",
}


def backbones():
    """How far each backbone came, and what it costs beside Lite0."""
    measured = rows("results/backbones.csv")
    base = next(r for r in measured if r["name"] == "EfficientNet-Lite0")

    def ratio(row, column):
        return f"{float(row[column]) / float(base[column]):.1f}"

    lines = []
    for row in measured:
        if row["reached"] != "loaded":
            lines.append([row["source"], row["name"], row["map"], *"-----"])
            lines[-1].append(f"**{row['reached']}**: {row['problem']}")
            continue
        lines.append(
            [
                row["source"],
                row["name"],
                row["map"],
                row["fast"] or "none",
                f"{int(row['weights']) / 1e6:.1f}",
                ratio(row, "step_seconds"),
                row["tflite_mb"],
                ratio(row, "tflite_ms"),
                "yes",
            ]
        )
    header = ("from", "backbone", "map", "cached map", "weights, M")
    header += ("step time", ".tflite, MB", ".tflite time", "all steps")
    return table(header, lines)


def grow():
    """What old classes keep when a preset gets new ones."""
    lines = []
    for (way,), group in grouped(rows("results/grow.csv"), "way").items():
        shares = [
            spread([100 * float(r[column]) for r in group], 1)
            if group[0][column]
            else "-"
            for column in ("top1_old", "top1_new")
        ]
        epochs, count = group[0]["epochs"], str(len(group))
        lines.append([WAYS[way], epochs, count, *shares])
    header = ("", "epochs", "seeds", "old classes, top-1 %", "new classes")
    return table(header, lines)
