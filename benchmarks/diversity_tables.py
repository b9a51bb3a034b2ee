"""The table of where the branches look, on cub50's boxes and parts."""

from ablation_rows import NAMES
from ablation_rows import SHIPPED
from markdown import grouped
from markdown import rows
from markdown import spread
from markdown import table

KINDS = {
    "attention": "attention",
    "evidence": "evidence for the answer",
    "against": "rather than the next class",
}


def percent(group, column="value"):
    """Mean over the branches of each seed, and the spread of the seeds."""
    seeds = grouped(group, "seed").values()
    means = [sum(float(r[column]) for r in g) / len(g) for g in seeds]
    return spread([100 * mean for mean in means], 0)


def diversity(arms=tuple(NAMES)):
    """Likeness of two branches, boxes, and the parts met most above chance."""
    lines = []
    measured = [r for r in rows("results/diversity.csv") if r["arm"] in arms]
    measured.sort(key=lambda r: arms.index(r["arm"]))
    for (arm, kind), group in grouped(measured, "arm", "map").items():
        alike = [r for r in group if r["part"] == "(likeness)"]
        boxes = [r for r in group if r["part"] == "(box)"]
        parts = [r for r in group if r["part"][0] != "("]
        gains = []
        for (part,), met in grouped(parts, "part").items():
            mean, chance = (
                sum(float(r[c]) for r in met) / len(met)
                for c in ("value", "chance")
            )
            gains.append((mean - chance, part, mean, chance))
        best = sorted(gains, reverse=True)[:2]
        lines.append(
            [
                NAMES[arm],
                KINDS[kind],
                str(len({r["seed"] for r in group})),
                spread([float(r["value"]) for r in alike], 3)
                if alike
                else "one",
                percent(alike, "chance") if alike else "one",
                f"{percent(boxes)} ({percent(boxes, 'chance')})",
                ", ".join(
                    f"{part} {100 * mean:.0f} ({100 * chance:.0f})"
                    for _, part, mean, chance in best
                ),
            ]
        )
    header = ("", "map", "seeds", "correlation of two branches")
    header += ("same peak, %", "peak in the box, % (chance)")
    header += ("within a cell of, % (chance)",)
    return table(header, lines)


def with_and_without():
    """The shipped arm and the same without MAMC, for README.md."""
    return diversity((SHIPPED, "osme"))
