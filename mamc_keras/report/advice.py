"""What to do next: only what the numbers give a reason for."""

import dataclasses
import shlex

from mamc_keras.evaluation import metrics
from mamc_keras.evaluation.drawing import readable_name

MOST = 6
SUSPECTED = 3  # photos
OFTEN = 3  # photos of one class taken for the same other one
GAP = 0.10  # training accuracy above validation accuracy
UNSURE = 0.10  # width of the interval of top-1
MISJUDGED = 0.05  # calibration error


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
        _labels(facts),
        _few(facts, troubles),
        _confused(facts),
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
    return Advice(
        f"Look at {count} photos that may be in the wrong class",
        "The classifier is sure of another class, though it hardly ever takes "
        "these classes for each other. Either it is wrong, or the folder is; "
        "the training photos may have such errors too.",
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
        f"mamc train {_quoted(facts.source)} --preset {_quoted(facts.path)}"
        if facts.source
        else "",
    )


def _confused(facts):
    pairs = metrics.most_confused(facts.predictions, 3)
    pairs = [pair for pair in pairs if pair[2] >= OFTEN]
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
    train, val = _last(facts, "accuracy"), _last(facts, "val_accuracy")
    if train is None or val is None or train - val < GAP:
        return None
    return Advice(
        "More photos, rather than more training",
        f"It knows {train:.0%} of its training photos but {val:.0%} of the "
        "validation photos: it learns photos by heart.",
    )


def _longer(facts):
    curve = facts.history.get("val_accuracy", ())
    epochs = len(curve)
    if epochs < 4 or facts.trained.get("epoch") not in (epochs - 1, epochs):
        return None
    quarter = max(1, epochs // 4)
    if max(curve[-quarter:]) - max(curve[:-quarter]) < 0.01:
        return None
    return Advice(
        "Train longer",
        "The best epoch is the last one, and accuracy was still rising.",
        f"mamc train {_quoted(facts.source)} --epochs {2 * epochs}",
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
    error = facts.measures.get("ece_calibrated", facts.measures["ece"])
    if error < MISJUDGED:
        return None
    confidence = facts.predictions.probabilities.max(axis=1).mean()
    sounds = "too sure" if confidence > facts.measures["top1"] else "too unsure"
    if facts.calibration is not None:
        return Advice(
            "Do not read the probabilities as chances",
            "Even after the temperature from its validation photos they are "
            f"{error:.1%} off on average.",
        )
    return Advice(
        "Keep 100 validation photos or more, for a temperature",
        f"The classifier sounds {sounds}: its probabilities are "
        f"{error:.1%} off on average. With validation photos a run mends that "
        "and can also say that a photo shows none of the classes.",
        f"mamc train {_quoted(facts.source)} --validation-fraction 0.1"
        if facts.source
        else "",
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


def _quoted(path):
    return shlex.quote(str(path))
