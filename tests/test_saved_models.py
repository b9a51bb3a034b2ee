"""What is shipped loads, and is as good as results.csv says."""

import csv
from pathlib import Path

import numpy as np
import pytest

from mamc_keras import MAMCImageClassifier
from mamc_keras.data.sources import open_source
from mamc_keras.lite import Classifier

SAVED = Path(__file__).parents[1] / "saved_models"


def results():
    if not (SAVED / "results.csv").exists():
        return []  # Nothing is shipped yet.
    with (SAVED / "results.csv").open(newline="") as stream:
        return list(csv.DictReader(stream))


@pytest.mark.parametrize("row", results(), ids=lambda row: row["model"])
def test_loads_without_anything_else(row):
    file = SAVED / row["model"] / "model_int8.tflite"
    classifier = Classifier(file)
    labels = (file.parent / "labels.txt").read_text("utf-8").split("\n")[:-1]
    assert classifier.class_names == tuple(labels)
    probabilities = classifier.predict(np.zeros((300, 400, 3), np.uint8))
    assert probabilities.sum() == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("row", results(), ids=lambda row: row["model"])
def test_preset_loads_by_its_name_and_agrees_with_the_file(row):
    model = MAMCImageClassifier.from_preset(row["model"])
    assert model.count_params() == int(row["weights"])
    classifier = Classifier(SAVED / row["model"] / "model_int8.tflite")
    assert model.class_names == classifier.class_names
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[:224, :224] / 224
    waves = rng.uniform(1, 6, (4, 3, 2))
    photos = np.stack(
        [
            np.stack([np.sin(a * rows + b * columns) for a, b in wave], -1)
            for wave in waves
        ]
    )
    photos = (127 + 120 * photos).astype("uint8")
    expected = model.probabilities(photos)
    got = np.stack([classifier.predict(photo) for photo in photos])
    # Not photos of anything, so int8 may change the order, not the gist.
    assert np.abs(got - expected).sum(axis=1).max() < 0.6


@pytest.mark.parametrize("row", results(), ids=lambda row: row["model"])
def test_card_says_what_was_measured(row):
    card = (SAVED / row["model"] / "README.md").read_text("utf-8")
    assert f"| top-1, % | {100 * float(row['top1_keras']):.1f} |" in card
    assert "license: mit" in card and "## Calibration" in card
    labels = SAVED / row["model"] / "labels.txt"
    assert all(name in card for name in labels.read_text("utf-8").split("\n"))
    assert "/tmp/" not in card and "/home/" not in card


@pytest.mark.parametrize("row", results(), ids=lambda row: row["model"])
def test_accuracy_on_a_part_of_the_test_split(row, shared):
    test = open_source(shared / "data" / row["set"])["test"]
    test = test.take(np.arange(0, len(test), 12))
    classifier = Classifier(SAVED / row["model"] / "model_int8.tflite")
    assert classifier.class_names == test.class_names
    answers = [int(classifier.predict(path).argmax()) for path in test.paths]
    accuracy = np.mean(answers == test.labels)
    # About 200 photos: three standard errors of their mean.
    assert accuracy == pytest.approx(float(row["top1_int8"]), abs=0.08)
