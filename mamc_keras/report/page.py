"""The report as one page: what a stranger reads, in that order."""

import shlex

from mamc_keras.evaluation.drawing import readable_name
from mamc_keras.report import class_sections
from mamc_keras.report import sections
from mamc_keras.report.marks import command
from mamc_keras.report.marks import contents
from mamc_keras.report.marks import table
from mamc_keras.report.marks import text
from mamc_keras.report.repeat import command_of
from mamc_keras.report.style import STYLE

# No script, no other host: the page works from a mail on a phone.
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
# In the order of a reader's questions.
MEASURES = {
    "top1": ("top-1", "the first answer is right"),
    "top5": ("top-5", "the right class is among the first five answers"),
    "macro": ("macro accuracy", "top-1 with every class counting alike"),
    "recall@1": (
        "recall@1",
        "the most similar other photo is of the same class",
    ),
    "recall@2": ("recall@2", "one of the 2 most similar photos is"),
    "recall@4": ("recall@4", "one of the 4 most similar photos is"),
    "recall@8": ("recall@8", "one of the 8 most similar photos is"),
    "r_precision": (
        "R-precision",
        "share of the same class among as many similar photos as it has",
    ),
    "map@r": ("MAP@R", "the same, with the most similar ones counting more"),
    "nll": ("NLL", "penalty for being sure and wrong; 0 is best"),
    "nll_calibrated": ("NLL, calibrated", "NLL after the temperature"),
    "ece": (
        "calibration error",
        "how far the stated probabilities are off, on average",
    ),
    "ece_calibrated": (
        "the same, calibrated",
        "calibration error after the temperature",
    ),
    "brier": ("Brier score", "squared error of the probabilities; 0 is best"),
    "called_unknown": (
        "called unknown",
        'photos of known classes called "perhaps none of these"',
    ),
}
SHARES = ("top", "macro", "recall", "map", "r_prec", "ece", "called")


def page(facts, troubles, advised, shown):
    """Writes the page.

    Args:
        facts: `Facts`.
        troubles: list of `Trouble`.
        advised: list of `Advice`.
        shown: `Shown`, pictures and what needed the network.

    Returns:
        str, HTML.
    """
    name = facts.path.resolve().name
    if name == "preset":
        name = facts.path.resolve().parent.name
    parts = [
        f"<h1>{text(name)}</h1>",
        '<p class="soft">What this image classifier gets right and wrong, '
        "why, and what to do about it.</p>",
        _headline(facts),
        _moved(facts),
    ]
    body = [
        _advice(advised),
        _numbers(facts),
        sections.learning(facts),
        class_sections.trouble(facts, troubles),
        class_sections.pairs(facts),
        class_sections.suspected(facts),
        sections.mistakes(facts, shown),
        sections.branches(shown),
        sections.confidence(facts),
        _run(facts),
    ]
    parts += contents("\n".join(filter(None, body)))
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"/>'
        '<meta name="viewport" content="width=device-width, '
        'initial-scale=1"/>'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}"/>'
        f"<title>{text(name)}: report</title><style>{STYLE}</style></head>"
        "<body><main>\n" + "\n".join(filter(None, parts)) + "\n</main></body>"
        "</html>\n"
    )


def _headline(facts):
    predictions = facts.predictions
    count, right = len(predictions), facts.measures["top1"]
    never = {
        "test": "that it had never seen",
        "val": "that it did not learn from, though they chose its best epoch",
        "train": "that it learned from, which says little about new ones",
    }[facts.split]
    if not facts.own:
        never = f"in {text(facts.source)}"
    elif facts.split == "val" and not facts.sizes.get("test"):
        never += " (the run has no test photos)"
    low, high = facts.intervals.get("top1", (right, right))
    classes = len(predictions.class_names)
    hits = int((predictions.predicted == predictions.labels).sum())
    largest = max(
        (predictions.labels == k).sum() for k in set(predictions.labels)
    )
    return (
        f'<p class="headline">Of {count:,} photos {never}, it named '
        f"{hits:,} right: <b>{right:.1%}</b>, and with other such photos most "
        f"likely {low:.1%} to {high:.1%} (95 % interval). There are "
        f"{classes:,} classes; always naming the most frequent one would be "
        f"right in {largest / count:.1%}.</p>"
    )


def _moved(facts):
    if not facts.moved:
        return ""
    return (
        '<p class="card bad">The photos are no longer where the run found '
        "them. The numbers are those measured before; pictures are missing."
        "</p>"
    )


def _advice(advised):
    cards = []
    for entry in advised:
        typed = ""
        if entry.command:
            typed = command(entry.command)
        cards.append(
            f'<li class="card"><h3>{text(entry.title)}</h3>'
            f"<p>{text(entry.why)}</p>{typed}</li>"
        )
    return f'<h2>What to do next</h2><ol class="plain">{"".join(cards)}</ol>'


def _numbers(facts):
    rows = []
    for name, (title, meaning) in MEASURES.items():
        if name in facts.measures:
            ends = facts.intervals.get(name, ())
            interval = " to ".join(_said(name, end) for end in ends)
            value = _said(name, facts.measures[name])
            rows.append((title, value, interval, meaning))
    columns = ("measure", "value", "95 % interval", "what it says")
    parts = [
        "<h2>The numbers</h2>",
        "<p>The interval says how far a number could be off with other photos "
        "of the same kind.</p>",
        table(columns, rows, {1, 2}),
    ]
    if facts.slices:
        slices = [
            (
                f"{row['slice']}: {row['value']}",
                f"{int(row['images']):,}",
                f"{float(row['top1']):.1%}",
                f"{float(row['top1_low']):.1%} to "
                f"{float(row['top1_high']):.1%}",
            )
            for row in facts.slices
        ]
        parts += [
            "<h3>By parts of the photos</h3>",
            table(
                ("photos", "how many", "top-1", "95 % interval"),
                slices,
                {1, 2, 3},
            ),
        ]
    return "".join(parts)


def _said(name, value):
    share = name.startswith(SHARES)
    return f"{value:.1%}" if share else f"{value:.3g}"


def _run(facts):
    rows = []
    if facts.sizes:
        sizes = ", ".join(f"{k} {n:,}" for k, n in facts.sizes.items() if n)
        rows.append(("photos", sizes))
    if facts.source:
        rows.append(("from", facts.source))
    if facts.trained.get("seconds"):
        minutes = facts.trained["seconds"] / 60
        rows.append(("training took", f"{minutes:,.0f} minutes"))
    rows += [(k, v) for k, v in facts.environment.items() if v]
    parts = ["<h2>The run</h2>"]
    if rows:
        parts.append(table(("", ""), rows))
    if facts.notes:
        lines = "".join(f"<p>{text(line)}</p>" for line in facts.notes)
        parts.append(
            "<details><summary>What it said of its photos</summary>"
            f"{lines}</details>"
        )
    if facts.recipe:
        again = shlex.join(command_of(facts.recipe))
        parts.append(f"<p>To train the same again:</p>{command(again)}")
        settings = [(k, str(v)) for k, v in facts.recipe.items()]
        parts.append(
            "<details><summary>Every setting (recipe.json)</summary>"
            f"{table(('setting', 'value'), settings, fold=False)}</details>"
        )
    names = ", ".join(
        readable_name(name) for name in facts.predictions.class_names[:300]
    )
    more = len(facts.predictions.class_names) - 300
    if more > 0:
        names += f" and {more:,} more"
    parts.append(
        f"<details><summary>The classes</summary><p>{text(names)}</p></details>"
    )
    return "".join(parts)
