"""What to do next: only what the numbers give a reason for."""

import dataclasses
import shlex

import numpy as np

from mamc_keras.evaluation import metrics
from mamc_keras.evaluation.drawing import readable_name
from mamc_keras.report.facts import expected_by_chance
from mamc_keras.report.repeat import command_of

MOST = 6
SUSPECTED = 3  # photos
OFTEN = 3  # photos of one class taken for the same other one
GAP = 0.10  # accuracy of training photos above that of others
UNSURE = 0.10  # width of the interval of top-1
MISJUDGED = 0.03  # mean probability beside share of right answers
SHARE = 0.1  # of a class, taken for the same other one


@dataclasses.dataclass(frozen=True)
class Advice:
    """One thing to do.

    Args:
        title: str, what.
        why: str, the measured reason.
        command: str, to be typed as it is, or `""`.
    """

    title: str
    why: str
    command: str = ""


def advice(facts, troubles):
    """Collects what would help, the most useful first.

    Args:
        facts: `Facts`.
        troubles: list of `Trouble`.

    Returns:
        list of at most 6 `Advice`; one that says so when nothing stands out.
    """
    found = [
        _few(facts, troubles),
        _confused(facts),
        _labels(facts),
        _overfitted(facts),
        _longer(facts),
        _small(facts),
        _confidence(facts),
        _unsure(facts),
    ]
    found = [entry for entry in found if entry][:MOST]
    if found:
        return found
    return [
        Advice(
            "Use it",
            "Nothing stands out: no class is far behind, and the probabilities "
            "can be believed.",
            f"mamc export {_quoted(facts.path)}",
        )
    ]


def _labels(facts):
    count = len(facts.suspicions)
    if count < SUSPECTED:
        return None
    expected = expected_by_chance(facts.predictions)
    return Advice(
        f"Look at {count} photos that may be in the wrong class",
        "They are shown below: the classifier is sure of another class, though "
        "it hardly ever takes these classes for each other. Either it is "
        "wrong, or the folder is. Many folders will turn out right: even if "
        f"all are, so sure a classifier makes about {expected:.0f} sure "
        f"mistakes in {len(facts.predictions):,} photos. The command looks "
        "for the same among the photos that it learned from.",
        f"mamc check {_quoted(facts.source)} --labels" if facts.source else "",
    )


def _few(facts, troubles):
    few = [t for t in troubles if t.few is not None]
    if not few:
        return None
    names = facts.predictions.class_names
    listed = ", ".join(
        f"{readable_name(names[t.label])} ({t.few})" for t in few[:5]
    )
    more = f" and {len(few) - 5} more" if len(few) > 5 else ""
    return Advice(
        "Add photos of the classes that have few",
        f"These are behind the others and have few training photos: {listed}"
        f"{more}.",
        _again(facts),
    )


def _confused(facts):
    found = metrics.most_confused(facts.predictions, 100)
    sizes = np.bincount(facts.predictions.labels)
    number = {k: i for i, k in enumerate(facts.predictions.class_names)}
    pairs = [
        (true, answer, count)
        for true, answer, count in found
        if count >= max(OFTEN, SHARE * sizes[number[true]])
    ][:3]
    if not pairs:
        return None
    listed = ", ".join(
        f"{readable_name(true)} for {readable_name(answer)} ({count})"
        for true, answer, count in pairs
    )
    true, answer, _ = pairs[0]
    predictions = facts.predictions
    names = predictions.class_names
    first = next(
        path
        for path, label, said in zip(
            predictions.paths,
            predictions.labels,
            predictions.predicted,
            strict=True,
        )
        if names[label] == true and names[said] == answer
    )
    return Advice(
        "Look at the classes that are taken for each other",
        f"Most often {listed}. Can you tell them apart in these photos? Then "
        "more photos that show the difference help; if you cannot, nobody "
        "can from these photos.",
        f"mamc explain {_quoted(facts.path)} {_quoted(first)}",
    )


def _overfitted(facts):
    train, other = _last(facts, "accuracy"), _last(facts, "val_accuracy")
    which = "the validation photos"
    if other is None and facts.own and facts.split != "train":
        other, which = facts.measures["top1"], "photos it had never seen"
    if train is None or other is None or train - other < GAP:
        return None
    return Advice(
        "More photos, rather than more training",
        f"At the end it knew {train:.0%} of its training photos but "
        f"{other:.0%} of {which}: it learns photos by heart. More different "
        "photos of each class help most; stronger augmentation may.",
        _again(facts, augmentation="strong"),
    )


def _longer(facts):
    curve = facts.history.get("val_accuracy", ())
    epochs = len(curve)
    if epochs < 4 or facts.trained.get("epoch") != epochs:
        return None
    quarter = max(1, epochs // 4)
    if max(curve[-quarter:]) - max(curve[:-quarter]) < 0.01:
        return None
    return Advice(
        "Train longer",
        "The best epoch is the last one, and accuracy was still rising.",
        _again(facts, epochs=2 * epochs),
    )


def _small(facts):
    rows = [row for row in facts.slices if row["slice"] == "shorter side"]
    if not rows or float(rows[0]["top1_high"]) >= facts.measures["top1"]:
        return None
    return Advice(
        "Use larger photos",
        f"Of the smallest photos ({rows[0]['value']}) it knows "
        f"{float(rows[0]['top1']):.0%}, of all {facts.measures['top1']:.0%}.",
    )


def _confidence(facts):
    # Of a believable classifier answers are right as often as they say; how
    # far it may be off by chance follows from the probabilities themselves.
    sure, top1 = facts.sure.max(axis=1), facts.measures["top1"]
    off = sure.mean() - top1
    chance = 2 * np.sqrt((sure * (1 - sure)).sum()) / len(sure)
    if abs(off) < max(MISJUDGED, chance):
        return None
    sounds = "too sure" if off > 0 else "less sure than it could be"
    said = (
        f"It says {sure.mean():.0%} on average and is right in {top1:.0%}: it "
        f"sounds {sounds}."
    )
    if facts.calibration is not None:
        return Advice(
            "Do not read the probabilities as chances",
            f"{said} The temperature from its validation photos does not mend "
            "that here: validation photos are fewer, and "
            "they chose the best epoch.",
        )
    return Advice(
        "Keep 100 validation photos or more, for a temperature",
        f"{said} With validation photos a run mends that, and can say that a "
        "photo shows none of the classes.",
        _again(facts, validation_fraction=0.1),
    )


def _unsure(facts):
    low, high = facts.intervals.get("top1", (0, 0))
    if high - low < UNSURE:
        return None
    return Advice(
        "Put more photos aside for testing",
        f"With {len(facts.predictions):,} photos the share of right answers "
        f"may be anything from {low:.0%} to {high:.0%}.",
    )


def _last(facts, name):
    curve = facts.history.get(name)
    return curve[-1] if curve else None


def _again(facts, **changes):
    """The run's own command with some settings changed, or `""`."""
    if not facts.recipe:
        return ""
    return shlex.join(command_of({**facts.recipe, **changes}))


def _quoted(path):
    return shlex.quote(str(path))
