"""The parts of a report about the whole classifier."""

import dataclasses

import numpy as np

from mamc_keras.evaluation.calibration import softened
from mamc_keras.evaluation.drawing import readable_name
from mamc_keras.report import charts
from mamc_keras.report.branches import in_words
from mamc_keras.report.marks import figure
from mamc_keras.report.marks import row
from mamc_keras.report.marks import text


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
    said, train = "", facts.history.get("accuracy")
    curve = facts.history.get("val_accuracy")
    if curve:
        best = int(np.argmax(curve))
        said = (
            f"Best on validation photos after epoch {best + 1} of "
            f"{len(curve)}: {curve[best]:.1%}. That epoch was kept."
        )
    elif train:
        said = (
            f"Without validation photos the last of {len(train)} epochs was "
            "kept."
        )
    if train:
        other, which = (curve or [facts.measures["top1"]])[-1], "new"
        if curve:
            which = "validation"
        elif facts.split == "train" or not facts.own:
            other = None
        said += f" At the end it knew {train[-1]:.0%} of its training photos"
        if other is not None:
            said += f" and {other:.0%} of {which} photos"
        said += "."
    return (
        f"<h2>How it learned</h2><p>{text(said)} The training loss is not of "
        "one kind with the validation loss: it has the terms that compare "
        "photos (MAMC) in it, where the run uses them.</p>"
        f'<div class="charts">{drawn}</div>'
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
            f'<div class="card"><h3>It said {text(readable_name(names[said]))}'
            f" ({facts.sure[i, said]:.0%} sure), its folder says "
            f"{text(readable_name(names[true]))}</h3>{maybe}"
            + row(
                (figure(address, caption) for caption, address in pictures),
                len(pictures) == 4,
            )
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
    average = facts.sure.max(axis=1).mean()
    read = (
        f"It says {average:.1%} on average and is right in "
        f"{facts.measures['top1']:.1%}. Dots under the dotted line: it sounds "
        "surer there than it is."
    )
    if found is not None:
        tables["after its temperature"] = softened(facts.predictions, found)
        said = (
            f"Stored from {found.images:,} validation photos: a temperature of "
            f"{found.temperature:.2f}, by which scores are divided (above 1 it "
            "sounds less sure, no answer changes), and a threshold under which "
            'a photo is "perhaps none of these" '
            f"({found.false_alarm_rate:.0%} false alarms intended"
        )
        called = facts.measures.get("called_unknown")
        said += f"; here {called:.1%})." if called is not None else ")."
    return (
        "<h2>Can its probabilities be believed?</h2>"
        f"<p>{text(read)} {text(said)}</p>"
        f'<div class="charts">{charts.reliability_chart(tables)}</div>'
    )
