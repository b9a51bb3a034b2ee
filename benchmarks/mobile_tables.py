"""The tables of docs/mobile.md and the .tflite table of README.md."""

from ablation_tables import NAMES
from markdown import grouped
from markdown import rows
from markdown import spread
from markdown import table


def variants():
    """Accuracy of each variant beside Keras, by set and arm."""
    measured = [r for r in rows("results/mobile.csv") if r["accuracy_keras"]]
    lines = []
    groups = grouped(measured, "set", "arm", "variant")
    for (name, arm, variant), group in groups.items():

        def percent(column, group=group):
            return spread([100 * float(r[column]) for r in group], 1)

        largest = max(float(r["max_difference"]) for r in group)
        size = sum(float(r["megabytes"]) for r in group) / len(group)
        lines.append(
            [
                *(name, NAMES[arm], variant, str(len(group))),
                *map(percent, ("accuracy_keras", "accuracy_tflite")),
                *(percent("agreement"), f"{largest:.1g}"),
                *map(percent, ("ece_keras", "ece_tflite")),
                f"{size:.1f}",
            ]
        )
    header = ("set", "arm", "variant", "seeds", "Keras top-1 %", "file top-1 %")
    header += ("same answer %", "largest difference", "Keras ECE %")
    return table((*header, "file ECE %", "MB"), lines)


def mobile_costs():
    """Size, time and memory of each file, beside the plain classifier's."""
    measured = rows("results/mobile_costs.csv")
    times = [c for c in measured[0] if c.startswith(("median", "p95"))]
    plain = {r["file"]: r for r in measured if r["arm"] == "plain_softmax"}
    lines = []
    for row in measured:
        base = plain[row["file"]]
        first = times[0]
        lines.append(
            [
                *(NAMES[row["arm"]], row["file"], row["megabytes"]),
                f"{int(row['parameters']) / 1e6:.2f}",
                row["operations"],
                *(f"{float(row[column]):.1f}" for column in times),
                f"{float(row[first]) / float(base[first]):.2f}",
                f"{float(row['memory_mb']):.0f}",
            ]
        )
    header = ("arm", "file", "MB", "numbers, M", "operations")
    header += tuple(
        column.replace("_ms_", " ms, ").replace("_", " ") for column in times
    )
    return table((*header, "beside plain", "memory, MB"), lines)


def servers():
    """Photos a second, beside `model.predict` with the same batch."""
    lines = [
        [row["batch_size"], row["way"], row["ratio"], row["first_seconds"]]
        for row in rows("results/servers.csv")
    ]
    header = ("batch", "", "photos a second, beside predict", "first call, s")
    return table(header, lines)
