"""The parts of a report with pictures."""

import dataclasses

import numpy as np

from mamc_keras.evaluation import metrics
from mamc_keras.evaluation.calibration import softened
from mamc_keras.evaluation.drawing import readable_name
from mamc_keras.report import charts
from mamc_keras.report.branches import in_words
from mamc_keras.report.marks import figure
from mamc_keras.report.marks import photo
from mamc_keras.report.marks import row
from mamc_keras.report.marks import text
from mamc_keras.report.trouble import reasons

MOST_CLASSES = 12
MOST_PAIRS = 6
PHOTOS = 3  # of a class or a side of a pair


@dataclasses.dataclass(frozen=True)
class Shown:
    """What needed the network.

    Args:
        worst: list of `(index, pictures)`: measured photos that were mistaken
            most surely, with `(caption, address)` of each picture.
        branches: `Branches`, or `None`.
        plain: bool. Is it a plain softmax, without branches?
    """

    worst: list
    branches: object
    plain: bool


def learning(facts):
    """The learning curves, read out."""
    drawn = [charts.accuracy_curve(facts.history)]
    drawn.append(charts.loss_curve(facts.history))
    drawn = "".join(drawn)
    if not drawn:
        return ""
    said = ""
    curve = facts.history.get("val_accuracy")
    if curve:
        best = int(np.argmax(curve))
        said = (
            f"Best on validation photos after epoch {best + 1} of "
            f"{len(curve)}: {curve[best]:.1%}. That epoch was kept."
        )
    elif facts.history.get("accuracy"):
        said = (
            "Without validation photos the last of "
            f"{len(facts.history['accuracy'])} epochs was kept."
        )
    return (
        f"<h2>How it learned</h2><p>{text(said)} The training loss has the "
        "terms of MAMC in it, where the run uses them; the validation loss "
        f'has not.</p><div class="charts">{drawn}</div>'
    )


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
    for entry in troubles[:MOST_CLASSES]:
        why = "".join(
            f"<li>{text(reason)}</li>"
            for reason in reasons(entry, names, facts.counts)
        )
        shown = row(_mistaken(facts, i) for i in entry.mistakes[:PHOTOS])
        parts.append(
            f'<div class="card"><h3>{text(readable_name(names[entry.label]))}: '
            f'<span class="bad">{entry.hits} of {entry.images}</span> '
            f"recognised</h3><ul>{why}</ul>{shown}</div>"
        )
    if len(troubles) > MOST_CLASSES:
        more = ", ".join(
            readable_name(names[t.label]) for t in troubles[MOST_CLASSES:][:50]
        )
        parts.append(
            f"<p>And {len(troubles) - MOST_CLASSES} more: {text(more)}. "
            "per_class.csv of `mamc evaluate` has all.</p>"
        )
    if facts.counts is not None:
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
        left = row(_mistaken(facts, i) for i in _first(mistaken, sure))
        right = row(
            photo(predictions.paths[i], readable_name(answer))
            for i in _first(known, rank)
        )
        cards.append(
            f'<div class="card"><h3>{text(readable_name(true))}: {count} of '
            f"{int((predictions.labels == k).sum())} taken for "
            f"{text(readable_name(answer))}</h3>"
            f'<div class="pair">{left}{right}</div></div>'
        )
    return (
        "<h2>Taken for each other</h2><p>Left the mistaken photos, right how "
        f"the other class really looks.</p>{''.join(cards)}"
    )


def mistakes(facts, shown):
    """The surest wrong answers, with where it looked."""
    if not shown.worst:
        return ""
    predictions = facts.predictions
    names = predictions.class_names
    suspected = {s.index for s in facts.suspicions}
    cards = []
    for i, pictures in shown.worst:
        said, true = predictions.predicted[i], predictions.labels[i]
        maybe = ""
        if i in suspected:
            maybe = (
                '<p class="bad">Perhaps the photo is in the wrong folder.</p>'
            )
        cards.append(
            f'<div class="card"><h3>{text(readable_name(names[said]))}, '
            f"{facts.sure[i, said]:.0%} sure; it is "
            f"{text(readable_name(names[true]))}</h3>{maybe}"
            + row(figure(address, caption) for caption, address in pictures)
            + f"<small>{text(predictions.paths[i])}</small></div>"
        )
    return (
        "<h2>The surest mistakes, and where it looked</h2><p>Bright: where a "
        "branch looked. In the last picture red places spoke for the wrong "
        f"answer rather than for the right one, blue ones against it.</p>"
        f"{''.join(cards)}"
    )


def branches(shown):
    """What each attention branch is good for."""
    if shown.plain:
        said = ["This is a plain classifier, without attention branches."]
    elif shown.branches is None:
        said = ["This classifier has one branch: there is nothing to compare."]
    else:
        said = in_words(shown.branches)
    return "<h2>The attention branches</h2>" + "".join(
        f"<p>{text(line)}</p>" for line in said
    )


def confidence(facts):
    """Can its probabilities be believed?"""
    tables = {"as trained": facts.predictions}
    said = (
        "No temperature is stored: a run with 100 or more validation photos "
        "would have one, and could say that a photo shows none of the classes."
    )
    found = facts.calibration
    if found is not None:
        tables["after its temperature"] = softened(facts.predictions, found)
        said = (
            f"Stored from {found.images:,} validation photos: temperature "
            f"{found.temperature:.2f}, and a threshold under which a photo is "
            f'"perhaps none of these" ({found.false_alarm_rate:.0%} false '
            "alarms intended"
        )
        called = facts.measures.get("called_unknown")
        said += f"; here {called:.1%})." if called is not None else ")."
    return (
        f"<h2>Can its probabilities be believed?</h2><p>{text(said)}</p>"
        f'<div class="charts">{charts.reliability_chart(tables)}</div>'
    )


def _mistaken(facts, i):
    predictions = facts.predictions
    said = predictions.predicted[i]
    sure = facts.sure[i, said]
    name = readable_name(predictions.class_names[said])
    return photo(predictions.paths[i], f"said {name}, {sure:.0%} sure")


def _first(which, rank):
    index = np.flatnonzero(which)
    return index[np.argsort(-rank[index], kind="stable")][:PHOTOS]
