"""Writes the measured tables into README.md and docs/, between markers.

Run: python benchmarks/readme.py   (after the demo and the other benchmarks)
"""

import json
import re

from ablation_tables import arms
from ablation_tables import costs
from ablation_tables import head_rate
from ablation_tables import rates
from ablation_tables import shipped
from ablation_tables import trials
from ablation_tables import whole
from data_tables import pipeline
from data_tables import planner
from data_tables import planted
from device_tables import kills
from device_tables import replicas
from difference_tables import conventions
from difference_tables import differences
from difference_tables import others
from difference_tables import rate_differences
from difference_tables import whole_differences
from diversity_tables import diversity
from diversity_tables import with_and_without
from faithfulness_tables import faithfulness
from goal_table import goals
from idea_tables import finalists
from idea_tables import ideas
from markdown import HERE
from markdown import table
from mobile_tables import clients
from mobile_tables import mobile_costs
from mobile_tables import public_model
from mobile_tables import servers
from mobile_tables import variants
from preset_tables import backbones
from preset_tables import grow
from scaling_tables import communication
from scaling_tables import large_batches
from scaling_tables import scaling
from search_tables import search_recall
from search_tables import search_speed
from teach_tables import teach
from unknown_tables import temperature
from unknown_tables import unknown

PAGES = [
    HERE.parent / "README.md",
    HERE.parent / "docs/data.md",
    HERE.parent / "docs/reproduction.md",
    HERE.parent / "docs/devices.md",
    HERE.parent / "docs/scaling.md",
    HERE.parent / "docs/presets.md",
    HERE.parent / "docs/search.md",
    HERE.parent / "docs/teach.md",
    HERE.parent / "docs/trust.md",
    HERE.parent / "docs/evaluation.md",
    HERE.parent / "docs/mobile.md",
    HERE.parent / "docs/math.md",
]
DEMO = HERE / "demo_results.json"


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


TABLES = {
    "demo": demo,
    "shipped": shipped,
    "whole": whole,
    "whole_differences": whole_differences,
    "planner": planner,
    "pipeline": pipeline,
    "planted": planted,
    "arms": arms,
    "differences": differences,
    "others": others,
    "rates": rates,
    "rate_differences": rate_differences,
    "goals": goals,
    "conventions": conventions,
    "costs": costs,
    "trials": trials,
    "head_rate": head_rate,
    "ideas": ideas,
    "finalists": finalists,
    "communication": communication,
    "scaling": scaling,
    "large_batches": large_batches,
    "kills": kills,
    "replicas": replicas,
    "backbones": backbones,
    "grow": grow,
    "teach": teach,
    "search_speed": search_speed,
    "search_recall": search_recall,
    "diversity": diversity,
    "with_and_without": with_and_without,
    "faithfulness": faithfulness,
    "unknown": unknown,
    "temperature": temperature,
    "variants": variants,
    "mobile_costs": mobile_costs,
    "servers": servers,
    "clients": clients,
    "public_model": public_model,
}


def fill(text):
    """The page with every table between its markers made anew."""

    def made(match):
        name = match[1]
        try:
            body = TABLES[name]()
        except FileNotFoundError:
            body = "(not measured yet)"
        return f"<!-- {name} -->\n\n{body}\n\n<!-- /{name} -->"

    return re.sub(
        r"<!-- (\w+) -->\n.*?<!-- /\1 -->", made, text, flags=re.DOTALL
    )


def main():
    for page in PAGES:
        page.write_text(fill(page.read_text("utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
