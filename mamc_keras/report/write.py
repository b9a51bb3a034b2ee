"""What `mamc report` does: gathers, judges, draws, writes one file."""

import collections

import numpy as np

from mamc_keras.evaluation.evaluate import load_model
from mamc_keras.files import atomic_path
from mamc_keras.report import pictures
from mamc_keras.report.advice import advice
from mamc_keras.report.branches import PHOTOS
from mamc_keras.report.branches import branch_behaviour
from mamc_keras.report.facts import gather
from mamc_keras.report.page import page
from mamc_keras.report.sections import Shown
from mamc_keras.report.trouble import classes_in_trouble

FILE = "report.html"
WORST = 8  # mistakes shown with attention


def report(path, out=None, source=None, split=None, progress=None):
    """Writes a page about a run that opens anywhere, without a network.

    Predictions that `mamc evaluate` has stored are used again.

    Args:
        path: str or Path of a finished run folder, or of a preset.
        out: str or Path of the page; report.html beside the preset by default.
        source: str, other photos than the run's own, or `None`.
        split: `"train"`, `"val"` or `"test"`; by default test, or val where
            it has no photos.
        progress: callable `(what, done, total)`, or `None`.

    Returns:
        `Path` of the page.

    Raises:
        ValueError: when the run is not finished, or there are no photos.
    """
    facts = gather(path, source, split, progress)
    troubles = classes_in_trouble(
        facts.predictions, facts.counts, facts.suspicions, facts.sides
    )
    model = load_model(facts.preset)
    written = page(
        facts, troubles, advice(facts, troubles), _shown(model, facts)
    )
    out = facts.preset.parent / FILE if out is None else out
    with atomic_path(out) as temporary:
        temporary.write_text(written, encoding="utf-8", errors="replace")
    return out


def _shown(model, facts):
    predictions = facts.predictions
    sure = predictions.probabilities.max(axis=1)
    wrong = np.flatnonzero(predictions.predicted != predictions.labels)
    wrong = wrong[np.argsort(-sure[wrong], kind="stable")]
    wrong = np.array(_varied(predictions, wrong), int)
    photos, read = pictures.seen(model, [predictions.paths[i] for i in wrong])
    wrong = wrong[read]
    rows = pictures.explained(
        model, photos, predictions.predicted[wrong], predictions.labels[wrong]
    )
    some = np.linspace(0, len(predictions) - 1, min(PHOTOS, len(predictions)))
    sample, _ = pictures.seen(model, [predictions.paths[int(i)] for i in some])
    return Shown(
        list(zip(wrong.tolist(), rows, strict=True)),
        branch_behaviour(model, predictions, sample),
        not model.num_attentions,
    )


def _varied(predictions, wrong):
    """The first mistakes, at most two of the same kind."""
    kinds, chosen = collections.Counter(), []
    for i in wrong:
        kind = (predictions.labels[i], predictions.predicted[i])
        kinds[kind] += 1
        if kinds[kind] <= 2 and len(chosen) < WORST:
            chosen.append(i)
    return chosen
