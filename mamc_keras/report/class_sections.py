"""The parts of a report about classes: in trouble, confused, mislabelled."""

from mamc_keras.evaluation import metrics
from mamc_keras.evaluation.confused import PHOTOS
from mamc_keras.evaluation.confused import surest
from mamc_keras.evaluation.drawing import readable_name
from mamc_keras.report import charts
from mamc_keras.report.marks import photo
from mamc_keras.report.marks import row
from mamc_keras.report.marks import text
from mamc_keras.report.trouble import reasons

MOST_CLASSES = 12
MOST_PAIRS = 6
MOST_SUSPECTED = 12


def trouble(facts, troubles):
    """Classes that are behind the rest, and why."""
    predictions = facts.predictions
    names = predictions.class_names
    parts = ["<h2>Classes in trouble</h2>"]
    if not troubles:
        parts.append("<p>None is behind the rest by more than chance.</p>")
    else:
        parts.append(
            f"<p>{len(troubles)} of {len(names)} classes do worse than the "
            "rest by more than chance; those that lose most photos come "
            "first.</p>"
        )
    cards = []
    for entry in troubles[:MOST_CLASSES]:
        why = "".join(
            f"<li>{text(reason)}</li>"
            for reason in reasons(entry, names, facts.counts)
        )
        shown = row(_mistaken(facts, i) for i in entry.mistakes[:PHOTOS])
        cards.append(
            f'<div class="card"><h3>{text(readable_name(names[entry.label]))}: '
            f'<span class="bad">{entry.hits} of {entry.images}</span> '
            f"recognised</h3><ul>{why}</ul>{shown}</div>"
        )
    parts.append(f'<div class="cards">{"".join(cards)}</div>')
    if len(troubles) > MOST_CLASSES:
        more = ", ".join(
            readable_name(names[t.label]) for t in troubles[MOST_CLASSES:][:50]
        )
        parts.append(
            f"<p>And {len(troubles) - MOST_CLASSES} more: {text(more)}. "
            "per_class.csv of `mamc evaluate` has all.</p>"
        )
    # With as many photos of each, the chart would be one line of dots.
    if facts.counts is not None and len(set(facts.counts)) > 1:
        rows = metrics.per_class(predictions)
        parts.append(
            "<h3>Every class</h3><p>Left are the classes with few training "
            "photos, below those that are seldom recognised.</p><div "
            f'class="charts">{charts.class_chart(rows, facts.counts, names)}'
            "</div>"
        )
    return "".join(parts)


def pairs(facts):
    """Classes that are taken for each other, side by side."""
    predictions = facts.predictions
    found = metrics.most_confused(predictions, MOST_PAIRS)
    if not found:
        return "<h2>Taken for each other</h2><p>No photo was mistaken.</p>"
    number = {name: k for k, name in enumerate(predictions.class_names)}
    sure = predictions.probabilities.max(axis=1)
    cards = []
    for true, answer, count in found:
        k, j = number[true], number[answer]
        mistaken = (predictions.labels == k) & (predictions.predicted == j)
        known = predictions.labels == j
        rank = sure + (predictions.predicted == j)
        left = row(_mistaken(facts, i) for i in surest(mistaken, sure))
        right = row(
            photo(predictions.paths[i], readable_name(answer))
            for i in surest(known, rank)
        )
        cards.append(
            f'<div class="card"><h3>{text(readable_name(true))}: {count} of '
            f"{int((predictions.labels == k).sum())} taken for "
            f"{text(readable_name(answer))}</h3>"
            f'<div class="pair">{left}{right}</div></div>'
        )
    return (
        "<h2>Taken for each other</h2><p>First the mistaken photos, then "
        f"how the other class really looks.</p>{''.join(cards)}"
    )


def suspected(facts):
    """Photos that may be in the wrong class."""
    found = facts.suspicions
    if not found:
        return ""
    predictions = facts.predictions
    names = [readable_name(name) for name in predictions.class_names]
    shown = row(
        photo(
            predictions.paths[s.index],
            f"in {names[s.given]}, looks like {names[s.suggested]}",
        )
        for s in found[:MOST_SUSPECTED]
    )
    more = len(found) - MOST_SUSPECTED
    more = f"<p>And {more:,} more.</p>" if more > 0 else ""
    return (
        "<h2>Perhaps in the wrong class</h2><p>Sure mistakes between classes "
        "that it can tell apart. A person has to decide whether it or the "
        f"folder is wrong.</p>{shown}{more}"
    )


def _mistaken(facts, i):
    predictions = facts.predictions
    said = predictions.predicted[i]
    sure = facts.sure[i, said]
    name = readable_name(predictions.class_names[said])
    return photo(predictions.paths[i], f"said {name}, {sure:.0%} sure")
