"""The tables of docs/devices.md."""

from markdown import grouped
from markdown import rows
from markdown import table


def replicas():
    """Largest difference of a weight from one device, by configuration."""
    lines = []
    measured = [r for r in rows("results/replicas.csv") if not r["refused"]]
    for (name,), group in grouped(measured, "configuration").items():
        by_count = {r["replicas"]: f"{float(r['weights']):.0e}" for r in group}
        lines.append(
            [
                name,
                *(by_count.get(count, "refused") for count in "234"),
                f"{float(group[0]['tolerance']):.0e}",
            ]
        )
    header = ("configuration", "2", "3", "4 replicas", "tolerance")
    return table(header, lines)


def kills():
    """What was hit how often, and whether the run came out the same."""
    *measured, end = rows("results/kills.csv")
    hits = grouped(measured, "hit")
    lines = [[hit, str(len(group))] for (hit,), group in sorted(hits.items())]
    same = "equal" if end["same_history"] == "True" else "**another**"
    return (
        f"{table(('the kill hit the run while it was', 'kills'), lines)}\n\n"
        "Afterwards, against the run that nobody killed: largest difference "
        f"of a weight {float(end['largest_weight_difference']):g}; history "
        f"{same}."
    )
