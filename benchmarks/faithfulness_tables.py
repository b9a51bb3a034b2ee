"""The table of how true the maps are, on cub50's boxes and parts."""

import math

from ablation_rows import NAMES
from diversity_tables import KINDS
from markdown import grouped
from markdown import rows
from markdown import spread
from markdown import table


def beside_chance(group, column, chance, digits=0, factor=100):
    """Mean over the seeds, and what chance gives in brackets."""

    def values(name):
        return spread([factor * float(r[name]) for r in group], digits)

    return f"{values(column)} ({values(chance)})"


def faithfulness():
    """Boxes, parts and occlusion of every kind of map with all branches."""
    lines = []
    measured = rows("results/faithfulness.csv")
    for (arm, kind), group in grouped(measured, "arm", "map").items():
        name, which = kind.split(", ")
        # One branch alone is in the CSV.
        if which != "all" or math.isnan(float(group[0]["margin_drop"])):
            continue
        lines.append(
            [
                NAMES.get(arm, arm),
                KINDS[name],
                str(len(group)),
                group[0]["images"],
                *(
                    beside_chance(group, column, f"{column}_chance")
                    for column in ("pointing", "energy", "part")
                ),
                beside_chance(
                    group, "probability_drop", "probability_drop_random"
                ),
                beside_chance(group, "margin_drop", "margin_drop_random", 1, 1),
            ]
        )
    header = ("", "map", "seeds", "photos", "peak in the box, %")
    header += ("positive values in the box, %", "peak near a part, %")
    header += ("drop of the probability, points", "drop of the lead, logits")
    return table(header, lines)
