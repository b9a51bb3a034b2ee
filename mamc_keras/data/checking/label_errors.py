"""Photos whose label is probably wrong, by confident learning.

A photo is suspected when a model that has not learned from it takes it for
another class, as surely as it takes the photos of that class for their own,
and far more surely than for the given one. Northcutt et al. 2021,
arXiv:1911.00068. It is a guess: a person has to look.
"""

import dataclasses

import numpy as np

from mamc_keras.data.checking.copies import connected
from mamc_keras.data.checking.findings import Problem
from mamc_keras.data.checking.out_of_fold import guess_out_of_fold
from mamc_keras.data.sources import open_source

# By how much the other class must be more probable. With every twentieth
# label of three real sets made wrong, 0.5 suspects half as many photos again
# as 0.7, and four in five of those were labelled right.
MARGIN = 0.7


@dataclasses.dataclass(frozen=True)
class Suspicion:
    """One photo that looks as if it belonged to another class.

    Args:
        index: int. Which photo.
        given: int. Its label.
        suggested: int. The class that it looks like.
        probability: float. That it is of the suggested class.
        given_probability: float. That it is of the given class.
    """

    index: int
    given: int
    suggested: int
    probability: float
    given_probability: float


def suspect_labels(labels, guesses, margin=MARGIN):
    """Finds the labels that the guesses contradict, the surest first.

    Args:
        labels: int array `(n,)`.
        guesses: `Guesses` about the `n` photos.
        margin: float from 0 to 1. By how much the probability of the other
            class must exceed that of the given one.

    Returns:
        list of `Suspicion`. Photos that were not judged, and classes without
        any that was, are never in it.
    """
    judged = np.isfinite(guesses.own)
    own, labels = guesses.own, np.asarray(labels, np.int64)
    size = max(labels.max(initial=0), guesses.other.max(initial=0)) + 1
    counts = np.bincount(labels[judged], minlength=size)
    sums = np.bincount(labels[judged], own[judged], minlength=size)
    thresholds = np.full(size, np.inf)
    thresholds[counts > 0] = sums[counts > 0] / counts[counts > 0]
    lead = np.where(judged, guesses.probability - own, -np.inf)
    sure = guesses.probability >= thresholds[guesses.other]
    found = np.flatnonzero(sure & (lead > margin))
    return [
        Suspicion(
            int(i),
            int(labels[i]),
            int(guesses.other[i]),
            float(guesses.probability[i]),
            float(own[i]),
        )
        for i in found[np.argsort(-lead[found], kind="stable")]
    ]


def check_labels(report, source, progress=None):
    """Adds suspected label errors to a report.

    Judged are the photos of a source without splits, and the training photos
    of one that has them: to clean a test split by the opinion of a model
    makes the test easier for such models.

    Args:
        report: `SourceReport` on the source.
        source: str or Path. What `open_source` was given.
        progress: callable `(done, total)`, or `None`.

    Returns:
        `SourceReport` with problems of the kind `"label"`.

    Raises:
        ImportError: when the package with the network's weights is not
            installed.
    """
    # It imports TensorFlow, and the rule above does not need it.
    from mamc_keras.data.checking.photo_features import photo_features

    usable = {p for images in report.clean.values() for p in images.paths}
    images = open_source(source, 0, 0)["train"]
    images = images.take(np.array([p in usable for p in images.paths], bool))
    if not len(images):
        return report
    features = photo_features(images, progress=progress)
    groups = _copies(images.paths, report.all_problems)
    guesses = guess_out_of_fold(features, images.labels, groups)
    names = images.class_names
    found = [
        Problem(
            images.paths[s.index],
            "label",
            f"looks more like {names[s.suggested]} ({s.probability:.0%}) than "
            f"its own class, {names[s.given]} ({s.given_probability:.0%})",
        )
        for s in suspect_labels(images.labels, guesses)
    ]
    judged = np.isfinite(guesses.own)
    if found:
        right = (guesses.own > guesses.probability)[judged].mean()
        message = (
            f"The label check knows {right:.0%} of {judged.sum()} photos that "
            "it has not learned from: the fewer, the more of its suspicions "
            "are wrong."
        )
        found.append(Problem("", "label", message))
    return dataclasses.replace(report, problems=(*report.problems, *found))


def _copies(paths, problems):
    """Numbers the photos; what the report calls copies share a number."""
    place = {path: i for i, path in enumerate(paths)}
    pairs = [
        (place[p.path], place[p.twin])
        for p in problems
        if p.path in place and p.twin in place
    ]
    return connected(np.array(pairs, np.int64).reshape(-1, 2), len(paths))
