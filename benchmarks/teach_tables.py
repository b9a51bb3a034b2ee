"""The table of docs/teach.md."""

from markdown import grouped
from markdown import rows
from markdown import spread
from markdown import table
from preset_tables import WAYS


def line(name, group):
    shares = [
        spread([100 * float(r[column]) for r in group], 1)
        if group[0][column]
        else "-"
        for column in ("top1_old", "top1_new")
    ]
    return [name, str(len(group)), *shares]


def teach():
    """Taught from a few photos, beside training on and afresh."""
    lines = []
    measured = rows("results/teach.csv")
    for (name, photos, known), group in grouped(
        measured, "set", "photos", "known"
    ).items():
        text = f"taught, {photos} photo{'s' * (photos != '1')} a class"
        if photos == "0":
            text = WAYS["before"]
        if known != "0":
            text += f", {known} unsorted photos of old classes"
        lines.append([name, *line(text, group)])
    try:
        trained = grouped(rows("results/grow.csv"), "set", "way")
    except FileNotFoundError:
        trained = {}
    for (name, way), group in trained.items():
        if way != "before":
            lines.append([name, *line(WAYS[way], group)])
    header = ("set", "", "seeds", "old classes, top-1 %", "new classes")
    return table(header, lines)
