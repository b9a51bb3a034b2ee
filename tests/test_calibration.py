"""Temperature, unknown scores and their threshold, against plain loops."""

import json
import math
import subprocess
import sys

import numpy as np
import pytest

from mamc_keras.evaluation import calibration as package
from mamc_keras.evaluation import unknown
from mamc_keras.evaluation.calibration import calibrate
from mamc_keras.evaluation.calibration import calibrate_preset
from mamc_keras.evaluation.calibration import calibrated
from mamc_keras.evaluation.calibration import softened
from mamc_keras.evaluation.calibration import what_is_stored
from mamc_keras.evaluation.metrics import negative_log_likelihood
from mamc_keras.evaluation.predictions import Predictions
from mamc_keras.evaluation.stored_calibration import Calibration
from mamc_keras.evaluation.temperature import fit_temperature

# === Temperature ===


def naive_loss(logits, labels, temperature):
    """Mean negative log-likelihood, one photo and one class at a time."""
    total = 0.0
    for row, label in zip(logits.tolist(), labels.tolist(), strict=True):
        powers = [math.exp(z / temperature) for z in row]
        total -= math.log(powers[label] / sum(powers))
    return total / len(logits)


def naive_temperature(logits, labels):
    """The minimum by golden-section search over the temperature itself."""
    low, high = 0.05, 20.0
    ratio = (math.sqrt(5) - 1) / 2
    for _ in range(80):
        a, b = high - ratio * (high - low), low + ratio * (high - low)
        first = naive_loss(logits, labels, a)
        if first < naive_loss(logits, labels, b):
            high = b
        else:
            low = a
    return (low + high) / 2


def drawn(temperature, n=200, k=6, seed=0):
    """Logits, and labels drawn from softmax(logits / temperature)."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 3, (n, k))
    powers = np.exp(logits / temperature)
    shares = powers / powers.sum(axis=1, keepdims=True)
    labels = [rng.choice(k, p=share) for share in shares]
    return logits, np.array(labels)


@pytest.mark.parametrize("true", [0.5, 1.0, 2.5])
@pytest.mark.parametrize("seed", range(2))
def test_temperature_equals_plain_search(true, seed):
    logits, labels = drawn(true, seed=seed)
    found = fit_temperature(logits, labels)
    assert found == pytest.approx(naive_temperature(logits, labels), rel=1e-5)
    assert found == pytest.approx(true, rel=0.3)  # What they were drawn with.
    for other in (found * 0.99, found * 1.01):
        assert naive_loss(logits, labels, other) > naive_loss(
            logits, labels, found
        )


@pytest.mark.parametrize(
    "mutation",
    [
        lambda z, y: fit_temperature(-z, y),
        lambda z, y: fit_temperature(z, np.roll(y, 1)),
        lambda z, y: 1 / fit_temperature(z, y),
        lambda z, y: fit_temperature(z - z.max(axis=0), y),  # Not by photo.
        lambda z, y: fit_temperature(z**2, y),
    ],
)
def test_comparison_notices_wrong_temperatures(mutation):
    logits, labels = drawn(2.5)
    expected = naive_temperature(logits, labels)
    assert mutation(logits, labels) != pytest.approx(expected, rel=1e-3)


def test_temperature_at_its_ends():
    assert fit_temperature(np.eye(3), [0, 1, 2]) == 1.0  # All right.
    assert fit_temperature(1e4 * np.eye(3), [1, 2, 0]) == pytest.approx(20)
    logits, labels = drawn(1.0)
    shifted = logits + 1e4 * np.arange(len(logits))[:, None]
    assert fit_temperature(shifted, labels) == pytest.approx(
        fit_temperature(logits, labels), rel=1e-4
    )


@pytest.mark.parametrize(
    "logits, labels",
    [
        (np.zeros((3, 2)), [0, 1]),
        (np.zeros((2, 2)), [0, 2]),
        (np.zeros((2, 2)), [0, -1]),
        (np.zeros(2), [0, 1]),
        (np.zeros((0, 2)), []),
        (np.full((2, 2), np.nan), [0, 1]),
    ],
)
def test_temperature_checks_its_arguments(logits, labels):
    with pytest.raises(ValueError, match="Received"):
        fit_temperature(logits, labels)


# === Scores ===


def unit(vector):
    length = math.sqrt(sum(x * x for x in vector))
    return [x / length for x in vector] if length else list(vector)


def joined(photo):
    """The vector of one photo: unit branches end to end, then to length 1."""
    return unit([x for branch in photo.tolist() for x in unit(branch)])


def naive_scores(logits, embeddings, train, labels, num_classes):
    """All scores, one photo, class and number at a time."""
    sums = [[0.0] * train[0].size for _ in range(num_classes)]
    for photo, label in zip(train, labels, strict=True):
        for i, x in enumerate(joined(photo)):
            sums[label][i] += x
    prototypes = [unit(s) for s in sums]
    found = {"max_probability": [], "energy": [], "prototype": []}
    for row, photo in zip(logits.tolist(), embeddings, strict=True):
        total = sum(math.exp(z) for z in row)
        found["max_probability"].append(math.exp(max(row)) / total)
        found["energy"].append(math.log(total))
        vector = joined(photo)
        cosines = [
            sum(a * b for a, b in zip(vector, p, strict=True))
            for p in prototypes
        ]
        found["prototype"].append(max(cosines))
    return found


def made_up(branches=2, n=40, k=4, d=5, seed=0):
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % k
    centres = rng.normal(size=(k, branches, d))
    train = centres[labels] + rng.normal(size=(n, branches, d))
    photos = rng.normal(size=(15, branches, d)) * [[[3.0]] * branches] * 15
    return rng.normal(0, 3, (15, k)), photos, train, labels, k


def scores(logits, photos, train, labels, k):
    prototypes = unknown.class_prototypes(train, labels, k)
    return {
        "max_probability": unknown.max_probability(logits),
        "energy": unknown.energy(logits),
        "prototype": unknown.nearest_prototype(photos, prototypes),
    }


@pytest.mark.parametrize("branches", [1, 2, 3])
def test_scores_equal_plain_loops(branches):
    data = made_up(branches, seed=branches)
    expected, found = naive_scores(*data), scores(*data)
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], values, rtol=1e-5, atol=1e-6)


def raw_mean(embeddings, labels, k):
    flat = embeddings.reshape(len(embeddings), -1)
    return np.stack([flat[labels == c].mean(axis=0) for c in range(k)])


def one_norm_for_all_branches(embeddings):
    flat = embeddings.reshape(len(embeddings), -1)
    return flat / np.linalg.norm(flat, axis=1, keepdims=True)


@pytest.mark.parametrize(
    "name, changes",
    [
        ("energy", {"energy": lambda z: z.max(axis=1)}),
        ("energy", {"energy": lambda z: -np.log(np.exp(z).sum(axis=1))}),
        ("max_probability", {"energy": lambda z: z.sum(axis=1)}),
        ("prototype", {"class_prototypes": raw_mean}),
        ("prototype", {"normalised": one_norm_for_all_branches}),
    ],
)
def test_comparison_notices_wrong_scores(name, changes, monkeypatch):
    logits, photos, train, labels, k = made_up()
    photos, train = photos * [[[1], [9]]], train * [[[1], [9]]]
    data = logits, photos, train, labels, k
    expected = naive_scores(*data)[name]
    np.testing.assert_allclose(scores(*data)[name], expected, rtol=1e-4)
    for attribute, wrong in changes.items():
        monkeypatch.setattr(unknown, attribute, wrong)
    with pytest.raises(AssertionError):
        np.testing.assert_allclose(scores(*data)[name], expected, rtol=1e-4)


def test_scores_of_extreme_values():
    logits = np.array([[1e4, -1e4], [-1e4, -1e4]])
    np.testing.assert_allclose(
        unknown.energy(logits), [1e4, -1e4 + math.log(2)]
    )
    np.testing.assert_allclose(unknown.max_probability(logits), [1, 0.5])
    prototypes = unknown.class_prototypes(np.ones((1, 2, 3)), [0], 2)
    assert not prototypes[1].any()  # A class without photos is near nothing.
    found = unknown.nearest_prototype(np.zeros((1, 2, 3)), prototypes)
    assert found == [0]


def test_scores_check_their_arguments():
    with pytest.raises(ValueError, match="one label.*Received"):
        unknown.class_prototypes(np.ones((3, 1, 2)), [0, 1], 2)
    with pytest.raises(ValueError, match="of one model.*Received"):
        unknown.nearest_prototype(np.ones((3, 1, 2)), np.ones((2, 3)))


def test_mahalanobis_equals_plain_loops():
    from mahalanobis import Mahalanobis

    _, photos, train, labels, k = made_up(n=200)
    distance = Mahalanobis(train, labels, k)
    vectors = np.array([joined(p) for p in train])
    means = [vectors[labels == c].mean(axis=0) for c in range(k)]
    np.testing.assert_allclose(distance.means, means, atol=1e-6)
    spread = np.zeros((10, 10))
    for vector, label in zip(vectors, labels, strict=True):
        gap = vector - means[label]
        spread += np.outer(gap, gap) / len(vectors)
    # Shrunk towards a multiple of the identity, by a share from 0 to 1.
    shrunk = np.linalg.inv(distance.precision)
    off = ~np.eye(10, dtype=bool)
    kept = (shrunk[off] / spread[off]).mean()
    assert 0.1 < kept < 0.9
    mean = np.trace(spread) / 10
    np.testing.assert_allclose(
        shrunk, kept * spread + (1 - kept) * mean * np.eye(10), atol=1e-6
    )
    inverse = np.linalg.inv(shrunk)
    for photo, found in zip(photos, distance(photos), strict=True):
        gaps = [np.array(joined(photo)) - m for m in means]
        expected = -min(g @ inverse @ g for g in gaps)
        assert found == pytest.approx(expected, rel=1e-4)


# === Threshold ===


@pytest.mark.parametrize("n, rate", [(19, 0.05), (100, 0.05), (39, 0.1)])
def test_a_new_known_photo_is_called_unknown_at_the_stated_rate(n, rate):
    """Of n + 1 photos each is the new one once: exactly floor(...) alarms."""
    values = np.random.default_rng(n).normal(size=n + 1)
    alarms = 0
    for i in range(n + 1):
        others = [v for j, v in enumerate(values) if j != i]
        alarms += values[i] < unknown.threshold_at(others, rate)
    assert alarms == round(rate * (n + 1) - 0.499)
    assert alarms / (n + 1) <= rate


@pytest.mark.parametrize("mutation", [-0.1, 0.1])
def test_comparison_notices_another_rate(mutation):
    values = np.random.default_rng(0).normal(size=99)
    right = unknown.threshold_at(values, 0.2)
    assert unknown.threshold_at(values, 0.2 + mutation) != right
    assert (values < right).sum() == 19


@pytest.mark.parametrize(
    "values, rate, match",
    [
        (np.zeros(18), 0.05, "Give 19 or more photos"),
        (np.zeros(0), 0.05, "Too few photos"),
        (np.zeros(50), 0.0, "rate between 0 and 1"),
        (np.zeros(50), 1.0, "rate between 0 and 1"),
        (np.full(50, np.nan), 0.05, "finite scores"),
    ],
)
def test_threshold_checks_its_arguments(values, rate, match):
    with pytest.raises(ValueError, match=match):
        unknown.threshold_at(values, rate)


def naive_separation(known, other, accepted=0.95):
    wins = 0.0
    for a in known:
        for b in other:
            wins += 1 if a > b else 0.5 if a == b else 0
    for bar in sorted(known, reverse=True):
        if sum(a >= bar for a in known) >= accepted * len(known) - 1e-9:
            break
    passed = sum(b >= bar for b in other) / len(other)
    return wins / len(known) / len(other), passed


@pytest.mark.parametrize("ties", [False, True])
def test_separation_equals_plain_loops(ties):
    rng = np.random.default_rng(0)
    known, other = rng.normal(1, 1, 80), rng.normal(0, 1, 50)
    if ties:
        known, other = known.round(), other.round()
    found = unknown.separation(known, other)
    assert found == pytest.approx(naive_separation(known, other))
    assert found != pytest.approx(unknown.separation(other, known))
    assert unknown.separation([2.0, 3.0], [0.0, 1.0]) == (1.0, 0.0)


# === Stored ===


def stored(**changes):
    values = {
        "temperature": 2.0,
        "score": "prototype",
        "threshold": 0.5,
        "false_alarm_rate": 0.05,
        "images": 120,
        "prototypes": np.eye(2, 6, dtype=np.float16),
    }
    return Calibration(**{**values, **changes})


@pytest.mark.parametrize(
    "calibration", [stored(), stored(score="energy", prototypes=None)]
)
def test_save_and_load(calibration, tmp_path):
    assert Calibration.load(tmp_path) is None
    calibration.save(tmp_path)
    settings = json.loads((tmp_path / "calibration.json").read_text())
    assert settings == calibration.settings() and settings["format"] == 1
    loaded = Calibration.load(tmp_path)
    assert loaded.settings() == settings
    rng = np.random.default_rng(0)
    photos = rng.normal(size=(9, 2)), rng.normal(size=(9, 2, 3))
    np.testing.assert_array_equal(
        loaded.known_score(*photos), calibration.known_score(*photos)
    )
    np.testing.assert_array_equal(
        loaded.is_unknown(*photos), loaded.known_score(*photos) < 0.5
    )


def test_damaged_and_later_files(tmp_path):
    with pytest.raises(ValueError, match="prototypes none"):
        stored(prototypes=None)
    with pytest.raises(ValueError, match="score='odin'"):
        stored(score="odin")
    stored().save(tmp_path)
    (tmp_path / "prototypes.npy").write_bytes(b"none")
    with pytest.raises(ValueError, match="damaged"):
        Calibration.load(tmp_path)
    (tmp_path / "prototypes.npy").unlink()
    with pytest.raises(ValueError, match="damaged.*prototypes.npy"):
        Calibration.load(tmp_path)
    file = tmp_path / "calibration.json"
    for text in ("{", "[]", "{}", '{"format": 1, "score": "energy"}'):
        file.write_text(text)
        with pytest.raises(ValueError, match=r"damaged.*remove calibration"):
            Calibration.load(tmp_path)
    file.write_text('{"format": 2, "what": "ever"}')
    with pytest.raises(ValueError, match="newer mamc_keras.*format 2"):
        Calibration.load(tmp_path)


def test_a_phone_reads_it_without_heavy_imports():
    code = (
        "import sys; import mamc_keras.evaluation.stored_calibration;"
        " heavy = {'tensorflow', 'keras', 'scipy', 'sklearn', 'matplotlib'}"
        " & set(sys.modules); assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


# === From a trained model ===


def validation(n=120, seed=0):
    logits, labels = drawn(2.0, n, 3, seed)
    embeddings = np.random.default_rng(seed).normal(size=(n, 2, 3))
    return Predictions(range(n), labels, logits, embeddings, "abc")


class Model:
    num_classes = 3
    mamc_weight = 0.5


@pytest.fixture
def train(monkeypatch):
    """Training photos that a stand-in of the network knows."""
    from mamc_keras.data.sources import ImageSet

    seen = []

    def predict_images(model, images):
        seen.append(images)
        rng = np.random.default_rng(1)
        embeddings = np.eye(3)[images.labels][:, None].repeat(2, axis=1)
        return Predictions(
            images.paths,
            images.labels,
            np.zeros((len(images), 3)),
            embeddings + rng.normal(0, 0.01, embeddings.shape),
            images.class_names,
        )

    monkeypatch.setattr(package, "predict_images", predict_images)
    labels = np.repeat([0, 1, 2], [200, 3, 60])
    images = ImageSet([f"{i}.jpg" for i in range(len(labels))], labels, "abc")
    return images, seen


@pytest.mark.parametrize("score", ["prototype", "energy", "max_probability"])
def test_calibrate(train, score):
    images, seen = train
    table = validation()
    found = calibrate(Model, table, images, 0.1, score)
    assert found.temperature == fit_temperature(table.logits, table.labels)
    assert found.images == 120 and found.false_alarm_rate == 0.1
    flags = found.is_unknown(table.logits, table.embeddings)
    assert flags.sum() == math.floor(0.1 * 121) - 1
    if score == "prototype":
        assert np.bincount(seen[0].labels).tolist() == [50, 3, 50]
        assert found.prototypes.dtype == np.float16
        assert found.prototypes.argmax(axis=1).tolist() == [0, 1, 2]
    else:
        assert not seen and found.prototypes is None
    after = softened(table, found)
    measures = calibrated(table, found)
    assert measures["called_unknown"] == flags.mean()
    assert measures["nll_calibrated"] == negative_log_likelihood(after)
    assert measures["nll_calibrated"] < negative_log_likelihood(table)
    assert calibrated(table, None) == {} and softened(table, None) is table


def test_score_is_the_one_that_was_best_for_such_a_model(train):
    images, _ = train
    plain = Model()
    plain.mamc_weight = 0.0
    for model, score in ((Model(), "prototype"), (plain, "max_probability")):
        assert calibrate(model, validation(), images).score == score


def test_too_few_photos_store_nothing(train, tmp_path, caplog):
    images, _ = train
    model = Model()
    with pytest.raises(ValueError, match="predictions of 99 photos"):
        calibrate(model, validation(99), images)
    calibrate_preset(tmp_path, model, validation(99), images)
    assert not list(tmp_path.iterdir()) and not caplog.records
    assert "store no temperature" in what_is_stored(99)
    assert "from 1,000 validation photos" in what_is_stored(1000)
    diverged = validation()
    diverged.logits[0, 0] = np.nan
    calibrate_preset(tmp_path, model, diverged, images)
    assert not list(tmp_path.iterdir())
    assert "no numbers" in caplog.text
    calibrate_preset(tmp_path, model, validation(), images)
    assert Calibration.load(tmp_path).settings() == model.calibration.settings()
