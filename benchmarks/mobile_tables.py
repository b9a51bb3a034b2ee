"""The tables of docs/mobile.md and the .tflite table of README.md."""

from ablation_rows import BASELINE
from ablation_rows import NAMES
from ablation_rows import SHIPPED
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
    # The other heads' rows are of another machine: their ratios alone are used.
    measured = [
        r
        for r in rows("results/mobile_costs.csv")
        if r["arm"] in (BASELINE, SHIPPED)
    ]
    times = [c for c in measured[0] if c.startswith(("median", "p95"))]
    lines = []
    for row in measured:
        lines.append(
            [
                *(NAMES[row["arm"]], row["file"], row["megabytes"]),
                f"{int(row['parameters']) / 1e6:.2f}",
                row["operations"],
                *(f"{float(row[column]):.1f}" for column in times),
                *(
                    f"{float(row[f'ratio_{n}_threads']):.2f} "
                    f"({row[f'quartiles_{n}_threads']})"
                    for n in (1, 2)
                ),
                f"{float(row['memory_mb']):.0f}",
            ]
        )
    header = ("arm", "file", "MB", "numbers, M", "operations")
    header += tuple(
        column.replace("_ms_", " ms, ").replace("_", " ") for column in times
    )
    header += ("beside plain, 1 thread (quartiles)", "2 threads", "memory, MB")
    return table(header, lines)


def servers():
    """Photos a second, beside `model.predict` with the same batch."""
    lines = [
        [row["batch_size"], row["way"], row["ratio"], row["first_seconds"]]
        for row in rows("results/servers.csv")
    ]
    header = ("batch", "", "photos a second, beside predict", "first call, s")
    return table(header, lines)


def clients():
    """MediaPipe's first answer beside ours, photo by photo."""
    lines = [list(row.values()) for row in rows("results/clients.csv")]
    header = ("photo", "MediaPipe", "score", "mamc_keras.lite", "score")
    return table((*header, "largest difference of any class"), lines)


def public_model():
    """A public bird model beside ours, on the species that both know."""
    lines = []
    measured = rows("results/public_model.csv")
    for row in measured:
        ratio = float(row["median_ms_1_threads"]) / float(
            measured[-1]["median_ms_1_threads"]
        )
        lines.append(
            [
                *(row["model"], row["classes"], row["shared_classes"]),
                *(row["photos"], f"{100 * float(row['top1']):.1f}"),
                f"{100 * float(row['top1_open']):.1f}",
                *(row["megabytes"], f"{ratio:.2f}"),
            ]
        )
    header = ("file", "classes", "of both", "photos", "top-1 of both, %")
    header += ("top-1 of all its classes, %", "MB", "time, beside ours")
    return table(header, lines)
