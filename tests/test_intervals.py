"""Bootstrap intervals, the reliability diagram, and predictions kept."""

import json

import numpy as np
import pytest
from PIL import Image

from mamc_keras.data.sources import ImageSet
from mamc_keras.evaluation import intervals as module
from mamc_keras.evaluation import metrics
from mamc_keras.evaluation import stored
from mamc_keras.evaluation.intervals import intervals
from mamc_keras.evaluation.intervals import photo_values
from mamc_keras.evaluation.predictions import Predictions
from mamc_keras.evaluation.reliability import reliability_bins
from mamc_keras.evaluation.reliability import reliability_figure


def table(n=90, k=7, seed=0):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, k - 1, n)
    labels[-1] = k - 1  # Alone in its class: no query.
    logits = rng.normal(0, 2, (n, k))
    logits[np.arange(n), labels] += 2
    embeddings = rng.normal(size=(n, 2, 4)) + labels[:, None, None]
    names = [f"class {c}" for c in range(k)]
    paths = [f"{i}.jpg" for i in range(n)]
    return Predictions(paths, labels, logits, embeddings, names)


# === Intervals ===


def test_photo_values_average_to_the_measures():
    predictions = table()
    values = photo_values(predictions)
    summary = metrics.summary(predictions)
    for name in ("top1", "top5", "nll", "brier"):
        assert values[name].mean() == pytest.approx(summary[name])
    assert np.isnan(values["recall@1"]).sum() == 1


def test_intervals_equal_a_plain_bootstrap(monkeypatch):
    """Other draws, and every measure from scratch on each of them."""
    monkeypatch.setattr(module, "RESAMPLES", 3000)
    predictions = table()
    found = intervals(predictions)
    rng = np.random.default_rng(9)
    samples = []
    values = photo_values(predictions)
    for _ in range(1000):
        drawn = rng.integers(0, 90, 90)
        part = Predictions(
            [predictions.paths[i] for i in drawn],
            predictions.labels[drawn],
            predictions.logits[drawn],
            predictions.embeddings[drawn],
            predictions.class_names,
        )
        row = metrics.summary(part)
        for name in ("recall@1", "r_precision", "map@r"):
            row[name] = np.nanmean(values[name][drawn])
        samples.append(row)
    for name in samples[0]:
        each = np.array([row[name] for row in samples])
        low, high = np.percentile(each, [2.5, 97.5])
        width = high - low
        # Two bootstraps differ by their own noise.
        assert found[name] == pytest.approx((low, high), abs=0.12 * width)


@pytest.mark.parametrize("labels", [[0, 0, 1], [0, 1, 2], [0, 0]])
def test_intervals_of_a_handful_of_photos(labels):
    """Some resamples have no query at all, or there is none."""
    rng = np.random.default_rng(0)
    n = len(labels)
    predictions = Predictions(
        [f"{i}.jpg" for i in range(n)],
        labels,
        rng.normal(size=(n, 3)),
        rng.normal(size=(n, 1, 4)),
        "abc",
    )
    found = intervals(predictions)
    assert ("recall@1" in found) == (len(set(labels)) < n)
    for low, high in found.values():
        assert low <= high


def test_intervals_know_what_cannot_vary():
    rng = np.random.default_rng(0)
    perfect = Predictions(
        [str(i) for i in range(20)],
        np.arange(20) % 2,
        50 * np.eye(2)[np.arange(20) % 2],
        rng.normal(size=(20, 1, 3)),
        ["a", "b"],
    )
    found = intervals(perfect)
    assert found["top1"] == found["macro"] == (1.0, 1.0)
    lone = Predictions(
        ["a", "b"], [0, 1], np.eye(2), np.ones((2, 1, 1)), ["a", "b"]
    )
    assert "recall@1" not in intervals(lone)
    # Of the photos that count alone: the others are no queries.
    half = {"recall@1": np.array([1.0, np.nan] * 10)}
    assert intervals(perfect, half)["recall@1"] == (1.0, 1.0)
    wide, narrow = intervals(table()), intervals(table(), level=0.5)
    assert wide["top1"][0] < narrow["top1"][0] < narrow["top1"][1]
    assert narrow["top1"][1] < wide["top1"][1]
    assert intervals(table()) == wide  # Seeded.
    json.dumps(wide)


@pytest.mark.parametrize("n, level", [(1, 0.95), (90, 0.0), (90, 1.0)])
def test_intervals_check_their_arguments(n, level):
    with pytest.raises(ValueError, match="photos to draw.*Received.*Give two"):
        intervals(table(max(n, 2)) if n > 1 else _one(), level=level)


def _one():
    return Predictions(["a"], [0], np.eye(2)[:1], np.ones((1, 1, 1)), "ab")


# === Reliability ===


def test_reliability_bins_equal_loops_and_give_the_error():
    predictions = table(200)
    rows = reliability_bins(predictions, 10)
    assert sum(row["images"] for row in rows) == 200
    error = 0
    for row in rows:
        inside = []
        for shares, label in zip(
            predictions.probabilities, predictions.labels, strict=True
        ):
            if row["low"] < max(shares) <= row["high"]:
                inside.append((max(shares), shares.argmax() == label))
        confidence, right = np.mean(inside, axis=0)
        assert row["images"] == len(inside)
        assert row["confidence"] == pytest.approx(confidence)
        assert row["accuracy"] == pytest.approx(right)
        assert row["accuracy_low"] <= right <= row["accuracy_high"]
        error += len(inside) / 200 * abs(confidence - right)
    assert metrics.calibration_error(predictions, 10) == pytest.approx(error)


def test_reliability_figure(tmp_path):
    tables = {"as trained": table(), "after its temperature": table(seed=1)}
    reliability_figure(tmp_path / "r.png", tables)
    with Image.open(tmp_path / "r.png") as picture:
        assert picture.size[0] > 700


# === Predictions that are used again ===


@pytest.fixture
def preset_and_photos(tmp_path):
    preset = tmp_path / "preset"
    preset.mkdir()
    (preset / "model.weights.h5").write_bytes(b"weights")
    paths = []
    for i in range(2):
        paths.append(str(tmp_path / f"{i}.jpg"))
        (tmp_path / f"{i}.jpg").write_bytes(b"photo")
    return preset, ImageSet(paths, [0, 1], ["a", "b"])


def test_used_again_until_something_changes(preset_and_photos, tmp_path):
    preset, images = preset_and_photos
    made = []

    def predict(logits=None):
        made.append(1)
        return Predictions(
            images.paths,
            images.labels,
            np.eye(2),
            np.ones((2, 1, 3)),
            images.class_names,
        )

    def ask(images=images):
        before = len(made)
        found = stored.stored_predictions(
            preset, images, tmp_path / "kept", predict
        )
        np.testing.assert_array_equal(found.logits, np.eye(2))
        return len(made) > before

    assert ask()
    assert not ask()
    # A calibration changes no logit.
    (preset / "calibration.json").write_text("{}")
    assert not ask()
    (preset / "model.weights.h5").write_bytes(b"Weights")
    assert ask() and not ask()
    (tmp_path / "1.jpg").write_bytes(b"another photo")
    assert ask() and not ask()
    assert ask(ImageSet(images.paths, [0, 0], ["a", "b"])) and ask()
    assert ask(ImageSet(images.paths, [0, 1], ["a", "c"])) and ask()
    assert ask(images.take([1, 0])) and ask() and not ask()
    # Damaged, cut off, or from a version without fingerprints.
    (tmp_path / "kept/embeddings.npz").write_bytes(b"PK\x03\x04")
    assert ask() and not ask()
    (tmp_path / "kept/fingerprint.json").write_text("[]")
    assert ask() and not ask()
    (tmp_path / "kept/fingerprint.json").unlink()
    assert ask() and not ask()


def test_a_folder_that_cannot_be_written_is_no_error(
    preset_and_photos, tmp_path
):
    preset, images = preset_and_photos
    (tmp_path / "kept").write_text("a file where the folder should be")
    answer = Predictions(
        images.paths, [0, 1], np.eye(2), np.ones((2, 1, 1)), "ab"
    )
    found = stored.stored_predictions(
        preset, images, tmp_path / "kept", lambda: answer
    )
    assert found is answer
