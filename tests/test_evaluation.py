"""Predictions, metrics and retrieval against plain loops and known values."""

import csv
import json
import math

import exported
import numpy as np
import pytest
from PIL import Image

from mamc_keras.data.sources import ImageSet
from mamc_keras.evaluation import metrics
from mamc_keras.evaluation import retrieval
from mamc_keras.evaluation.predictions import Predictions
from mamc_keras.evaluation.predictions import predict_images
from mamc_keras.evaluation.retrieval import map_at_r
from mamc_keras.evaluation.retrieval import recall_at_k
from mamc_keras.evaluation.retrieval import retrieval_values


def table(labels, logits, names=None, embeddings=None):
    logits = np.asarray(logits, float)
    names = names or [f"class {k}" for k in range(logits.shape[1])]
    if embeddings is None:
        embeddings = np.ones((len(labels), 2, 3))
    paths = [f"photos/{i}.jpg" for i in range(len(labels))]
    return Predictions(paths, labels, logits, embeddings, names)


def random_table(n=60, k=7, seed=0):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, k - 1, n)  # The last class has no photo.
    logits = rng.normal(0, 2, (n, k))
    logits[np.arange(n), labels] += 2
    return table(labels, logits)


# === Predictions ===


def test_save_and_load(tmp_path):
    names = ("plain", 'with, comma and "quotes"', "ümlaut 日本")
    # What os.fsdecode makes of a file name that is not UTF-8.
    paths = ["a.jpg", "b, c.jpg", "\udcff.jpg"]
    rng = np.random.default_rng(0)
    saved = Predictions(
        paths, [0, 2, 1], rng.normal(size=(3, 3)), rng.normal(size=(3, 2, 4)),
        names,
    )  # fmt: skip
    saved.save(tmp_path / "new" / "folder")
    loaded = Predictions.load(tmp_path / "new" / "folder")
    assert loaded.paths == saved.paths
    assert loaded.class_names == names
    for field in ("labels", "logits", "embeddings"):
        np.testing.assert_array_equal(
            getattr(loaded, field), getattr(saved, field)
        )
    files = sorted(p.name for p in (tmp_path / "new" / "folder").iterdir())
    assert files == ["embeddings.npz", "predictions.csv"]
    with pytest.raises(ValueError, match="no predictions"):
        Predictions.load(tmp_path)


def test_csv_is_for_people(tmp_path):
    logits = np.log([[0.1, 0.2, 0.25, 0.05, 0.3, 0.04, 0.06]])
    table([2], logits).save(tmp_path)
    with (tmp_path / "predictions.csv").open(newline="") as stream:
        (row,) = csv.DictReader(stream)
    assert row.pop("path") == "photos/0.jpg"
    assert row == {
        "label": "class 2",
        "predicted": "class 4",
        "probability": "0.300000",
        "predicted_2": "class 2",
        "probability_2": "0.250000",
        "predicted_3": "class 1",
        "probability_3": "0.200000",
        "predicted_4": "class 0",
        "probability_4": "0.100000",
        "predicted_5": "class 6",
        "probability_5": "0.060000",
    }
    table([1], [[0, 1]]).save(tmp_path)  # Only two classes.
    header = (tmp_path / "predictions.csv").read_text().splitlines()[0]
    assert header.endswith("predicted_2,probability_2")


@pytest.mark.parametrize(
    "change",
    [
        {"paths": ["a"]},
        {"labels": [0]},
        {"logits": np.zeros((2, 4))},
        {"embeddings": np.zeros((3, 1, 2))},
        {"embeddings": np.zeros((2, 2))},
    ],
)
def test_sizes_must_fit(change):
    fields = {
        "paths": ["a", "b"],
        "labels": [0, 1],
        "logits": np.zeros((2, 3)),
        "embeddings": np.zeros((2, 1, 2)),
        "class_names": ["x", "y", "z"],
    }
    Predictions(**fields)
    with pytest.raises(ValueError, match="Received"):
        Predictions(**{**fields, **change})


def test_probabilities_of_extreme_logits():
    predictions = table([0, 1], [[1000, -1000, 0], [-4e4, -4e4, -4e4]])
    np.testing.assert_allclose(
        predictions.probabilities, [[1, 0, 0], [1 / 3] * 3]
    )


@pytest.fixture(scope="module")
def image_set(tmp_path_factory):
    folder = tmp_path_factory.mktemp("evaluated")
    photos, labels = exported.photos(5, seed=3)
    paths = [str(folder / f"{i:02d}.png") for i in range(len(photos))]
    for path, photo in zip(paths, photos, strict=True):
        Image.fromarray(photo).resize((45, 38)).save(path)
    return ImageSet(paths, labels, exported.NAMES)


def test_predicts_every_photo_once_and_in_order(image_set):
    from mamc_keras.data.pipeline import load_image

    model = exported.trained()
    seen = []
    predictions = predict_images(
        model, image_set, 8, lambda *step: seen.append(step)
    )
    assert seen == [(8, 20), (16, 20), (20, 20)]
    assert predictions.paths == image_set.paths
    assert predictions.class_names == exported.NAMES
    np.testing.assert_array_equal(predictions.labels, image_set.labels)
    photos = np.stack([load_image(p, (32, 32)) for p in image_set.paths])
    np.testing.assert_allclose(
        predictions.probabilities, model.probabilities(photos), atol=1e-5
    )
    np.testing.assert_allclose(
        predictions.embeddings, model.embed(photos), atol=1e-5
    )
    assert predictions.embeddings.shape == (20, 2, 8)


def test_logits_and_embeddings_come_from_one_pass(image_set, monkeypatch):
    model = exported.trained()
    heads, traced = type(model).heads, []
    monkeypatch.setattr(
        type(model), "heads", lambda *a: traced.append(1) or heads(*a)
    )
    predict_images(model, image_set, 8)
    assert traced == [1]  # One trace, of the short last batch as well.


def test_model_without_size_or_set_without_photos(image_set):
    from small import encoder

    from mamc_keras import MAMCImageClassifier

    model = MAMCImageClassifier(encoder(static=False), 4, embedding_dim=8)
    with pytest.raises(ValueError, match="image_size=None"):
        predict_images(model, image_set)
    with pytest.raises(ValueError, match="no photos"):
        predict_images(exported.trained(), image_set.take([]))


# === Metrics ===


def naive_metrics(predictions, bins=15):
    """Every measure, one photo at a time."""
    n, k = predictions.logits.shape
    top1 = top5 = nll = brier = 0.0
    hits = [[] for _ in range(k)]
    by_bin = [[] for _ in range(bins)]
    for i in range(n):
        powers = [math.exp(x) for x in predictions.logits[i].tolist()]
        shares = [p / sum(powers) for p in powers]
        label = int(predictions.labels[i])
        order = sorted(range(k), key=lambda c: -shares[c])
        right = order[0] == label
        top1 += right
        top5 += label in order[:5]
        hits[label].append(right)
        nll -= math.log(shares[label])
        brier += sum((shares[c] - (c == label)) ** 2 for c in range(k))
        confidence = max(shares)
        for b in range(bins):
            if b / bins < confidence <= (b + 1) / bins:
                by_bin[b].append((right, confidence))
    ece = 0.0
    for found in by_bin:
        if found:
            accuracy = sum(right for right, _ in found) / len(found)
            confidence = sum(c for _, c in found) / len(found)
            ece += len(found) / n * abs(accuracy - confidence)
    present = [sum(h) / len(h) for h in hits if h]
    return {
        "top1": top1 / n,
        "top5": top5 / n,
        "macro": sum(present) / len(present),
        "nll": nll / n,
        "ece": ece,
        "brier": brier / n,
    }


@pytest.mark.parametrize("seed", range(3))
def test_summary_equals_plain_loops(seed):
    predictions = random_table(seed=seed)
    expected = naive_metrics(predictions)
    assert metrics.summary(predictions) == pytest.approx(expected, rel=1e-6)
    json.dumps(metrics.summary(predictions))  # Plain floats.


def test_perfect_and_hopeless():
    right = table([0, 1, 2], 50 * np.eye(3))
    assert metrics.summary(right) == pytest.approx(
        {"top1": 1, "macro": 1, "nll": 0, "ece": 0, "brier": 0}, abs=1e-9
    )
    wrong = table([1, 2, 0], 1000 * np.eye(3))
    found = metrics.summary(wrong)
    assert found["nll"] == 1000  # Finite, though the probability is 0.
    assert found["brier"] == 2 and found["ece"] == 1 and found["top1"] == 0


def test_a_constant_output_is_no_good_model():
    predictions = table([0, 1, 2, 3, 4, 5, 5, 5], np.zeros((8, 6)))
    found = metrics.summary(predictions)
    assert found["top1"] == 1 / 8  # As argmax: class 0.
    assert found["top5"] == 5 / 8
    assert found["nll"] == pytest.approx(math.log(6))


def test_macro_counts_classes_alike_and_only_those_present():
    logits = [[1, 0, 0]] * 9 + [[1, 0, 0]]
    predictions = table([0] * 9 + [1], logits)
    assert metrics.top_k_accuracy(predictions) == 0.9
    assert metrics.macro_accuracy(predictions) == 0.5
    rows = metrics.per_class(predictions)
    assert [row["class_name"] for row in rows] == ["class 1", "class 0"]
    assert rows[1] == {
        "class_name": "class 0",
        "images": 9,
        "recall": 1.0,
        "precision": 0.9,
        "f1": pytest.approx(18 / 19),
    }


def test_confusion_and_most_confused():
    predictions = random_table()
    expected = np.zeros((7, 7), int)
    pairs = zip(predictions.labels, predictions.predicted, strict=True)
    for label, answer in pairs:
        expected[label, answer] += 1
    np.testing.assert_array_equal(metrics.confusion(predictions), expected)
    np.fill_diagonal(expected, 0)
    found = metrics.most_confused(predictions, 5)
    counts = [photos for *_, photos in found]
    assert counts == sorted(expected.ravel(), reverse=True)[:5]
    for true, answer, photos in found:
        assert expected[int(true[-1]), int(answer[-1])] == photos
    assert metrics.most_confused(table([0, 1], np.eye(2))) == []


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_refuses_what_is_no_number(bad):
    predictions = table([0, 1], [[bad, 0], [0, 1]])
    with pytest.raises(ValueError, match="for 1 of 2 photos"):
        metrics.summary(predictions)


def test_refuses_no_photos():
    empty = table([], np.zeros((0, 3)), embeddings=np.zeros((0, 1, 2)))
    with pytest.raises(ValueError, match="0 photos"):
        metrics.summary(empty)
    with pytest.raises(ValueError, match="0 photos"):
        metrics.per_class(empty)


# === Retrieval ===


def naive_ranking(embeddings, labels, i):
    """Whether each other photo is of the class of photo i, nearest first."""
    found = []
    for j in range(len(labels)):
        if i == j:
            continue
        cosine = 0.0
        for p in range(embeddings.shape[1]):
            a, b = embeddings[i, p], embeddings[j, p]
            lengths = math.sqrt(a @ a) * math.sqrt(b @ b)
            cosine += float(a @ b) / lengths
        found.append((-cosine, labels[j] == labels[i]))
    return [same for _, same in sorted(found)]


def naive_recall(embeddings, labels, k):
    """One query and one other photo at a time, in float64."""
    hits = []
    for i in range(len(labels)):
        ranking = naive_ranking(embeddings, labels, i)
        if any(ranking):
            hits.append(any(ranking[:k]))
    return sum(hits) / len(hits)


def clusters(branches, seed=0):
    rng = np.random.default_rng(seed)
    labels = np.array(
        [3, 3, 3, 0, 0, 7, 1, 1, 1, 1, 9, 3, 0, 2, 2]
    )  # lone: 7, 9
    centres = rng.normal(size=(10, branches, 6))
    return centres[labels] + rng.normal(size=(len(labels), branches, 6)), labels


@pytest.mark.parametrize("branches", [1, 2, 3])
@pytest.mark.parametrize("seed", range(3))
def test_recall_equals_plain_loops(branches, seed):
    embeddings, labels = clusters(branches, seed)
    found = recall_at_k(embeddings, labels, (1, 2, 5))
    expected = {k: naive_recall(embeddings, labels, k) for k in (1, 2, 5)}
    assert found == pytest.approx(expected)
    assert found[1] <= found[2] <= found[5]
    assert recall_at_k(embeddings, labels)[1] == found[1]


def naive_map_at_r(embeddings, labels):
    """Average precision over the R nearest, one query at a time."""
    scores = []
    for i in range(len(labels)):
        ranking = naive_ranking(embeddings, labels, i)
        relevant = sum(ranking)
        if not relevant:
            continue
        total = hits = 0
        for place, same in enumerate(ranking[:relevant], 1):
            if same:
                hits += 1
                total += hits / place
        scores.append(total / relevant)
    return sum(scores) / len(scores)


@pytest.mark.parametrize("branches", [1, 2])
@pytest.mark.parametrize("seed", range(3))
def test_map_at_r_equals_plain_loops(branches, seed, monkeypatch):
    embeddings, labels = clusters(branches, seed)
    expected = naive_map_at_r(embeddings, labels)
    assert 0 < expected < 1
    assert map_at_r(embeddings, labels) == pytest.approx(expected)
    monkeypatch.setattr(retrieval, "BLOCK_BYTES", 3 * 8 * len(labels))
    assert map_at_r(embeddings, labels) == pytest.approx(expected)


@pytest.mark.parametrize("branches", [1, 2])
def test_r_precision_equals_plain_loops(branches):
    embeddings, labels = clusters(branches)
    found = retrieval_values(embeddings, labels)["r_precision"]
    for i in range(len(labels)):
        ranking = naive_ranking(embeddings, labels, i)
        relevant = sum(ranking)
        if relevant:
            expected = sum(ranking[:relevant]) / relevant
            assert found[i] == pytest.approx(expected)
        else:
            assert math.isnan(found[i])


def test_similarities_are_computed_once(monkeypatch):
    embeddings, labels = clusters(2)
    blocks, made = retrieval._similarity_blocks, []
    monkeypatch.setattr(
        retrieval,
        "_similarity_blocks",
        lambda *a: made.append(1) or blocks(*a),
    )
    values = retrieval_values(embeddings, labels)
    assert made == [1] and len(values) == 6


@pytest.mark.parametrize("branches", [1, 2])
def test_as_pytorch_metric_learning_has_it(branches):
    """The library that named MAP@R, where it is installed."""
    pytest.importorskip("pytorch_metric_learning")
    import torch
    from pytorch_metric_learning.distances import CosineSimilarity
    from pytorch_metric_learning.utils.accuracy_calculator import (
        AccuracyCalculator,
    )
    from pytorch_metric_learning.utils.inference import CustomKNN

    embeddings, labels = clusters(branches, seed=4)
    calculator = AccuracyCalculator(
        include=(
            "precision_at_1",
            "r_precision",
            "mean_average_precision_at_r",
        ),
        knn_func=CustomKNN(CosineSimilarity()),
        device=torch.device("cpu"),
    )
    expected = calculator.get_accuracy(
        torch.tensor(retrieval.normalised(embeddings)), torch.tensor(labels)
    )
    values = retrieval_values(embeddings, labels)
    for ours, theirs in (
        ("recall@1", "precision_at_1"),
        ("r_precision", "r_precision"),
        ("map@r", "mean_average_precision_at_r"),
    ):
        found = np.nanmean(values[ours])
        assert found == pytest.approx(expected[theirs], abs=1e-5), ours


def test_map_at_r_at_its_ends():
    labels = np.repeat(np.arange(5), 4)
    assert map_at_r(np.eye(5)[labels][:, None], labels) == 1.0
    assert map_at_r(np.ones((20, 2, 8)), labels) == 0.0
    assert math.isnan(map_at_r(np.ones((3, 1, 2)), np.arange(3)))
    with pytest.raises(ValueError, match="NaN"):
        map_at_r(np.full((2, 1, 4), np.nan), [0, 0])


def test_recall_in_small_blocks_is_the_same(monkeypatch):
    embeddings, labels = clusters(2)
    expected = recall_at_k(embeddings, labels, (1, 3))
    for rows in (1, 2, 7):
        monkeypatch.setattr(retrieval, "BLOCK_BYTES", rows * 4 * len(labels))
        assert recall_at_k(embeddings, labels, (1, 3)) == expected


def test_every_branch_weighs_alike():
    embeddings, labels = clusters(2)
    scaled = embeddings * [[[1.0], [1e-4]]] * 1e3
    assert recall_at_k(scaled, labels, (1, 3)) == recall_at_k(
        embeddings, labels, (1, 3)
    )
    # One product of the raw concatenation would forget the second branch.
    first = recall_at_k(embeddings[:, :1], labels, (1, 3))
    assert first != recall_at_k(embeddings, labels, (1, 3))


def test_lone_classes_are_strangers_and_no_queries():
    embeddings = np.eye(4)[[0, 0, 1, 1, 0]][:, None] + 0.0
    embeddings[4, 0] += [0, 0, 0.01, 0]
    labels = np.array([0, 0, 1, 1, 5])
    assert recall_at_k(embeddings, labels) == {1: 1.0}
    embeddings[1, 0] += [0, 0, 0.5, 0]  # Now the lone one is nearer to 0.
    assert recall_at_k(embeddings, labels) == {1: 0.5}
    assert math.isnan(recall_at_k(embeddings, np.arange(5))[1])


def test_a_network_that_maps_all_to_one_point_finds_nothing():
    labels = np.repeat(np.arange(5), 4)
    for embeddings in (np.ones((20, 2, 8)), np.zeros((20, 2, 8))):
        assert recall_at_k(embeddings, labels) == {1: 0.0}


def test_recall_checks_its_arguments():
    with pytest.raises(ValueError, match=r"\(3, 4\)"):
        recall_at_k(np.ones((3, 4)), [0, 0, 1])
    with pytest.raises(ValueError, match="labels"):
        recall_at_k(np.ones((3, 1, 4)), [0, 0])
    with pytest.raises(ValueError, match="ks=\\(0,\\)"):
        recall_at_k(np.ones((2, 1, 4)), [0, 0], (0,))
    with pytest.raises(ValueError, match="NaN"):
        recall_at_k(np.full((2, 1, 4), np.nan), [0, 0])


def test_real_photos_are_told_apart(shared):
    """Colours of real birds' photos, as embeddings: the whole way once."""
    from mamc_keras.data.pipeline import plain_dataset
    from mamc_keras.data.sources import open_source

    test = open_source(shared / "data" / "cub50")["test"]
    test = test.take(np.arange(0, len(test), 12))
    batches = [b.numpy() for b, _ in plain_dataset(test, (8, 8), 64)]
    pixels = np.concatenate(batches).astype(float)
    embeddings = np.stack([pixels[:, :4], pixels[:, 4:]], axis=1) - 128
    embeddings = embeddings.reshape(len(test), 2, -1)
    found = recall_at_k(embeddings, test.labels, (1, 5))
    assert found[1] == pytest.approx(
        naive_recall(embeddings, test.labels, 1), abs=0.02
    )
    assert 0 < found[1] < found[5] < 1
