"""Writes the measured tables into README.md, between their markers.

Run: python benchmarks/readme.py   (after the demo and the other benchmarks)
"""

import csv
import json
import re
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
README = HERE.parent / "README.md"
DEMO = HERE / "demo_results.json"
NAMES = {"osme_mamc": "OSME + MAMC", "plain_softmax": "plain softmax"}


def rows(name):
    with (HERE / name).open(newline="") as stream:
        return list(csv.DictReader(stream))


def table(header, lines):
    rule = "|".join("---" for _ in header)
    body = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    return f"| {' | '.join(header)} |\n|{rule}|\n{body}"


def spread(values, digits):
    values = np.array(values, float)
    text = f"{values.mean():.{digits}f}"
    if len(values) > 1:
        text += f" ± {values.std(ddof=1):.{digits}f}"
    return text


def grouped(table_rows, *columns):
    groups = {}
    for row in table_rows:
        groups.setdefault(tuple(row[c] for c in columns), []).append(row)
    return groups


def cells(group):
    percent = ("top1", "macro", "recall@1")
    return [
        *(spread([100 * float(r[c]) for r in group], 1) for c in percent),
        spread([float(r["nll"]) for r in group], 2),
    ]


def accuracy():
    shown = [r for r in rows("accuracy.csv") if r["config"] in NAMES]
    header = ("set", "", "seeds", "top-1 %", "macro %", "recall@1 %", "NLL")
    return table(
        header,
        [
            [name, NAMES[config], str(len(group)), *cells(group)]
            for (name, config), group in sorted(
                grouped(shown, "set", "config").items()
            )
        ],
    )


def fast():
    shown = [r for r in rows("accuracy.csv") if r["set"] == "cub50"]
    if not any(r["config"].endswith("_full") for r in shown):
        return "(not measured yet on this version)"
    lines = []
    for mode, suffix in (("fast", ""), ("everything trained", "_full")):
        for config, label in NAMES.items():
            group = [r for r in shown if r["config"] == config + suffix]
            if group:
                seconds = np.median([float(r["train_seconds"]) for r in group])
                lines.append(
                    [
                        label,
                        mode,
                        str(len(group)),
                        *cells(group),
                        f"{seconds:.0f}",
                    ]
                )
    header = (
        "",
        "mode",
        "seeds",
        "top-1 %",
        "macro %",
        "recall@1 %",
        "NLL",
        "seconds (2 shared cores)",
    )
    return table(header, lines)


def parity():
    lines = []
    groups = grouped(rows("parity.csv"), "set", "file")
    for (name, file), group in groups.items():
        lines.append(
            [name, file, str(len(group))]
            + [
                spread([100 * float(r[c]) for r in group], 1)
                for c in ("accuracy_keras", "accuracy_tflite", "agreement")
            ]
            + [
                f"{max(float(r['max_difference']) for r in group):.1g}",
                f"{float(group[0]['megabytes']):.1f}",
            ]
        )
    header = (
        "set",
        "file",
        "seeds",
        "Keras top-1 %",
        "file top-1 %",
        "same answer %",
        "largest difference",
        "MB",
    )
    return table(header, lines)


def demo():
    results = json.loads(DEMO.read_text())
    counts = results.pop("counts")
    classes = list(counts["test"])
    photos = table(
        ["photos", *classes],
        [[s, *(str(n[c]) for c in classes)] for s, n in counts.items()],
    )
    measures = table(
        ("measure", "value"), [[k, str(v)] for k, v in results.items()]
    )
    return f"{photos}\n\n{measures}"


def main():
    text = README.read_text(encoding="utf-8")
    for name, make in (
        ("demo", demo),
        ("accuracy", accuracy),
        ("fast", fast),
        ("parity", parity),
    ):
        pattern = f"(<!-- {name} -->\n).*?(<!-- /{name} -->)"
        try:
            body = make()
        except FileNotFoundError:
            body = "(not measured yet)"
        text = re.sub(
            pattern,
            lambda m, b=body: f"{m[1]}\n{b}\n\n{m[2]}",
            text,
            flags=re.DOTALL,
        )
    README.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
