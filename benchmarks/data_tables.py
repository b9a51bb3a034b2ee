"""The tables of docs/data.md."""

import numpy as np
from markdown import grouped
from markdown import rows
from markdown import table


def planner():
    groups = grouped(
        rows("results/planner.csv"), "planner", "images", "classes"
    )
    lines = []
    for key, group in groups.items():
        seconds, rate, peak = (
            np.median([float(r[c]) for r in group])
            for c in ("seconds_to_first_batch", "batches_per_second", "peak_mb")
        )
        lines.append(
            [
                key[0],
                f"{int(key[1]):,}",
                f"{int(key[2]):,}",
                f"{seconds:.2f}",
                f"{rate:,.0f}",
                f"{peak:.0f}",
            ]
        )
    header = (
        "planner",
        "images",
        "classes",
        "seconds to first batch",
        "batches/s",
        "MB",
    )
    return table(header, lines)


def pipeline():
    """Photos a second of each policy, and beside decoding alone."""
    found = [r for r in rows("results/pipeline.csv") if r["photos_per_second"]]
    rates = {}
    for r in found:
        turns = rates.setdefault(r["set"], {}).setdefault(r["kind"], {})
        turns[r["turn"]] = float(r["photos_per_second"])
    lines = []
    for name, kinds in rates.items():
        alone = kinds["decode only"]
        for kind, turns in kinds.items():
            ratios = [rate / alone[turn] for turn, rate in turns.items()]
            rate = np.median(list(turns.values()))
            lines.append(
                [name, kind, f"{rate:.0f}", f"{np.median(ratios):.2f}"]
            )
    return table(("photos", "policy", "photos/s", "of decode only"), lines)


def planted():
    """Recall of each planted defect, and precision of its kind."""
    lines = []
    for (defect, kind), group in grouped(
        rows("results/planted_defects.csv"), "defect", "kind"
    ).items():
        total = {
            name: sum(int(row[name]) for row in group)
            for name in group[0]
            if name not in ("seed", "defect", "kind")
        }
        right = total["found_of_kind"]
        reports = right + total["false_of_kind"]
        least = reports + total["before_of_kind"]
        lines.append(
            [
                defect,
                kind,
                str(total["planted"]),
                f"{total['found'] / total['planted']:.0%}",
                f"{right / reports:.0%}" if reports else "-",
                f"{right / least:.0%}" if least else "-",
            ]
        )
    header = ["defect", "reported as", "planted", "recall", "precision"]
    return table([*header, "at least"], lines)
