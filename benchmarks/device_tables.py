"""The tables of docs/devices.md."""

from markdown import grouped
from markdown import rows
from markdown import table


def kills():
    """What was hit how often, and whether the run came out the same."""
    *measured, end = rows("results/kills.csv")
    hits = grouped(measured, "hit")
    lines = [[hit, len(group)] for (hit,), group in sorted(hits.items())]
    same = "equal" if end["same_history"] == "True" else "**another**"
    return (
        f"{table(('the kill hit the run while it was', 'kills'), lines)}\n\n"
        "Afterwards, against the run that nobody killed: largest difference "
        f"of a weight {float(end['largest_weight_difference']):g}; history "
        f"{same}."
    )
