"""What is shipped loads, and is as good as results.csv says."""

import csv
from pathlib import Path

import numpy as np
import pytest

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
def test_accuracy_on_a_part_of_the_test_split(row, shared):
    test = open_source(shared / "data" / row["set"])["test"]
    test = test.take(np.arange(0, len(test), 12))
    classifier = Classifier(SAVED / row["model"] / "model_int8.tflite")
    assert classifier.class_names == test.class_names
    answers = [int(classifier.predict(path).argmax()) for path in test.paths]
    accuracy = np.mean(answers == test.labels)
    # About 200 photos: three standard errors of their mean.
    assert accuracy == pytest.approx(float(row["top1_int8"]), abs=0.08)
