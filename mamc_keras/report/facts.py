"""Everything that a report tells, gathered from a run before it is told."""

import collections
import csv
import dataclasses
import functools
import json
import logging
import shlex
from pathlib import Path

import numpy as np

from mamc_keras import run_folder
from mamc_keras.data.checking.label_errors import MARGIN
from mamc_keras.data.checking.label_errors import suspect_labels
from mamc_keras.data.checking.out_of_fold import Guesses
from mamc_keras.evaluation.calibration import softened
from mamc_keras.evaluation.evaluate import data_of
from mamc_keras.evaluation.evaluate import evaluate_split
from mamc_keras.evaluation.evaluate import preset_folder
from mamc_keras.evaluation.evaluate import training_counts
from mamc_keras.evaluation.predictions import ARRAYS_FILE
from mamc_keras.evaluation.predictions import Predictions
from mamc_keras.evaluation.slices import short_sides
from mamc_keras.evaluation.stored_calibration import Calibration
from mamc_keras.evaluation.temperature import fit_temperature

RARE = 2  # photos of a class that are taken for the same other one
_log = logging.getLogger("mamc_keras")


@dataclasses.dataclass(frozen=True, eq=False)
class Facts:
    """What is known of a run.

    Args:
        path: `Path` that the reader gave, a run or a preset.
        preset: `Path` of the preset.
        source: str, the photos, or `""` where nobody knows them.
        own: bool. Are they the run's own, of which it is known what was
            trained on?
        split: str, what was measured.
        sizes: dict of int, photos by split.
        counts: list of int, training photos by class, or `None`.
        predictions: `Predictions` of the split.
        sides: list of int, the shorter side of each measured photo in
            pixels, or `None`.
        measures, intervals: dicts that `mamc evaluate` wrote.
        slices: list of dict, likewise.
        calibration: `Calibration`, or `None`.
        recipe, environment, trained: dicts of the run folder, or empty.
        history: dict of lists, one value an epoch, or empty.
        notes: list of str, what the run said of its data.
        moved: bool. Are the photos no longer where they were?
    """

    path: Path
    preset: Path
    source: str
    own: bool
    split: str
    sizes: dict
    counts: list | None
    predictions: Predictions
    sides: list | None
    measures: dict
    intervals: dict
    slices: list
    calibration: Calibration | None
    recipe: dict
    environment: dict
    trained: dict
    history: dict
    notes: list
    moved: bool

    @functools.cached_property
    def suspicions(self):
        """list of `Suspicion`: measured photos that may be labelled wrong."""
        return suspicious(self.predictions)

    @functools.cached_property
    def sure(self):
        """float array `(n, num_classes)`: what `mamc predict` would say."""
        return softened(self.predictions, self.calibration).probabilities


def gather(path, source=None, split=None, progress=None):
    """Reads a run, and measures what has not been measured yet.

    Args:
        path: str or Path of a finished run folder, or of a preset.
        source: str, other photos than the run's own, or `None`.
        split: str; by default `"test"`, or `"val"` where it has no photos.
        progress: callable `(what, done, total)`, or `None`.

    Returns:
        `Facts`.

    Raises:
        ValueError: when the run is not finished, or there are no photos.
    """
    path = Path(path)
    if run_folder.is_begun(path) and not run_folder.is_finished(path):
        raise ValueError(
            "This run is not finished. Received: "
            f"{str(path)!r} without metrics.json. Finish it with `mamc train "
            f"{shlex.quote(str(path))} --resume` and ask again."
        )
    preset = preset_folder(path)
    run = preset.parent
    run = run if run_folder.is_finished(run) else None
    sizes, counts, moved = {}, None, False
    try:
        splits = data_of(path, source, progress)
    except (OSError, ValueError) as error:
        out = preset.parent / "evaluation-test"
        # Of a run without test photos those of validation were measured.
        if not split and not (out / ARRAYS_FILE).is_file():
            split = "val"
        split = split or "test"
        out = preset.parent / f"evaluation-{split}"
        if source or not (out / ARRAYS_FILE).is_file():
            raise
        _log.warning("No photos, only what was measured before. %s", error)
        predictions, moved = Predictions.load(out), True
    else:
        split = split or ("test" if len(splits["test"]) else "val")
        out = preset.parent / f"evaluation-{split}"
        predictions, _, _ = evaluate_split(
            preset, splits, split, out, progress, own=source is None
        )
        sizes = {name: len(images) for name, images in splits.items()}
        if source is None:
            counts = training_counts(splits, predictions.class_names)
    recipe = _json(run / "recipe.json") if run else {}
    history, trained = run_folder.results(run) if run else ({}, {})
    return Facts(
        path=path,
        preset=preset,
        source=source or recipe.get("source", ""),
        own=source is None,
        split=split,
        sizes=sizes,
        counts=counts,
        predictions=predictions,
        sides=None if moved else short_sides(predictions.paths),
        measures=_json(out / "metrics.json"),
        intervals=_json(out / "intervals.json"),
        slices=_rows(out / "slices.csv"),
        calibration=Calibration.load(preset),
        recipe=recipe,
        environment=_json(run / "environment.json") if run else {},
        trained=trained,
        history=history,
        notes=_lines(run / "data.txt") if run else [],
        moved=moved,
    )


def suspicious(predictions):
    """Finds photos that may be labelled wrong: sure mistakes of a rare kind.

    The model has not learned from them, so what `mamc check --labels` does
    with guesses out of fold is done with its answers. Classes that are often
    taken for each other are hard, and say nothing of labels: a trained network
    is sure of such mistakes too. It is too sure of everything as well; judged
    is at the temperature that fits these photos best, which halves the
    suspicions on cub50 and keeps most labels that were made wrong.

    Args:
        predictions: `Predictions`.

    Returns:
        list of `Suspicion`, the surest first.
    """
    if len(predictions.class_names) < 2:
        return []
    probabilities = _believable(predictions).probabilities
    every = np.arange(len(predictions))
    own = probabilities[every, predictions.labels].copy()
    probabilities[every, predictions.labels] = -1
    other = probabilities.argmax(axis=1)
    guesses = Guesses(own, other, probabilities[every, other])
    mistakes = collections.Counter(
        zip(
            predictions.labels.tolist(),
            predictions.predicted.tolist(),
            strict=True,
        )
    )
    return [
        suspicion
        for suspicion in suspect_labels(predictions.labels, guesses)
        if mistakes[suspicion.given, suspicion.suggested] <= RARE
    ]


def expected_by_chance(predictions):
    """Sure mistakes that are to be expected though every label is right.

    A classifier that is right in 95 of 100 cases when it says 95 % makes five
    sure mistakes.

    Args:
        predictions: `Predictions`.

    Returns:
        float, a number of photos.
    """
    shares = _believable(predictions).probabilities
    best = shares.max(axis=1)
    others = shares.copy()
    others[np.arange(len(shares)), shares.argmax(axis=1)] = 0
    return float(others[best[:, None] - others > MARGIN].sum())


def _believable(predictions):
    temperature = fit_temperature(predictions.logits, predictions.labels)
    logits = predictions.logits / temperature
    return dataclasses.replace(predictions, logits=logits)


def _json(file):
    return json.loads(file.read_text("utf-8")) if file.is_file() else {}


def _rows(file):
    if not file.is_file():
        return []
    with file.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def _lines(file):
    return file.read_text("utf-8").splitlines() if file.is_file() else []
