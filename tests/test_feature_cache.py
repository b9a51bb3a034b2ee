import os

import keras
import numpy as np
import pytest
from small import encoder

from mamc_keras import NPairPlan
from mamc_keras import feature_cache
from mamc_keras.data.pipeline import load_image
from mamc_keras.data.sources import open_source
from mamc_keras.feature_cache import cached_features
from mamc_keras.feature_cache import feature_batches
from mamc_keras.feature_cache import plain_feature_batches
from mamc_keras.models.efficientnet_lite import load_efficientnet_lite
from mamc_keras.models.split import split_encoder

SETTINGS = {
    "image_size": [32, 32],
    "crop_to_aspect_ratio": True,
    "augmentation": "light",
    "views": 2,
    "seed": 0,
}


def scale(images):
    return keras.ops.cast(images, "float32") / 255


@pytest.fixture
def lower():
    return split_encoder(encoder(), (32, 32))[0]


@pytest.fixture
def images(photo_folder):
    return open_source(photo_folder, 0)["train"].take(np.arange(6))


@pytest.fixture(autouse=True)
def own_folder(tmp_path, monkeypatch, _cache_in_test_folder):
    monkeypatch.setenv("MAMC_KERAS_CACHE", str(tmp_path / "cache"))


def test_holds_what_the_lower_stages_compute(lower, images):
    settings = {**SETTINGS, "augmentation": "none", "views": 1}
    features = cached_features(lower, scale, images, settings, 1.0)
    photos = np.stack([load_image(p, (32, 32)) for p in images.paths])
    expected = np.asarray(lower(scale(photos)))
    assert features.dtype == np.float16
    np.testing.assert_allclose(features[:, 0], expected, atol=2e-3)


def test_views_differ_and_the_next_run_reuses_them(lower, images, monkeypatch):
    first = np.array(cached_features(lower, scale, images, SETTINGS, 1.0))
    assert np.abs(first[:, 0] - first[:, 1]).max() > 0.01
    monkeypatch.setattr(feature_cache, "_compute", None)  # Must not be called.
    again = cached_features(lower, scale, images, SETTINGS, 1.0)
    np.testing.assert_array_equal(first, again)


def test_key_changes_with_all_that_matters(lower, images, photo_folder):
    def key(**changes):
        used = {"lower": lower, "images": images, "settings": SETTINGS}
        used.update(changes)
        return feature_cache.cache_key(**used)

    before = key()
    assert before == key()
    assert before != key(settings={**SETTINGS, "views": 3})
    assert before != key(images=images.take([0, 1, 2, 3, 4]))
    other = split_encoder(encoder(seed=5), (32, 32))[0]
    assert before != key(lower=other)
    stat = os.stat(images.paths[0])
    os.utime(images.paths[0], (stat.st_atime, stat.st_mtime + 5))
    assert before != key()


def test_size_cap_drops_the_oldest_and_refuses_the_impossible(lower, images):
    with pytest.raises(ValueError, match="cache needs .* GB"):
        cached_features(lower, scale, images, SETTINGS, 1e-9)
    one = 6 * 2 * np.prod(lower.output_shape[1:]) * 2 / 1e9
    for seed in range(4):
        settings = {**SETTINGS, "seed": seed}
        cached_features(lower, scale, images, settings, 2.5 * one)
        os.utime(
            feature_cache.cache_folder()
            / feature_cache.cache_key(lower, images, settings),
            (seed, seed),
        )
    kept = {f.name for f in feature_cache.cache_folder().iterdir()}
    newest = [
        feature_cache.cache_key(lower, images, {**SETTINGS, "seed": s})
        for s in (2, 3)
    ]
    assert kept == set(newest)


def test_a_failure_leaves_nothing(lower, images, monkeypatch):
    def fail(*arguments):
        raise OSError("No space left on device")

    monkeypatch.setattr(feature_cache, "_compute", fail)
    with pytest.raises(OSError, match="No space"):
        cached_features(lower, scale, images, SETTINGS, 1.0)
    assert list(feature_cache.cache_folder().iterdir()) == []


def test_batches_follow_the_plan_and_change_views():
    features = np.arange(8 * 3).reshape(8, 3, 1, 1, 1).astype("float16")
    labels = np.repeat(np.arange(4), 2)
    plan = NPairPlan(labels, 2, 2, seed=0)
    batches = list(feature_batches(features, labels, plan, 0, 3))
    assert len(batches) == 3 * plan.steps_per_epoch
    expected = np.concatenate([plan.batches(e) for e in range(3)])
    seen = {}
    for (x, y), index in zip(batches, expected, strict=True):
        np.testing.assert_array_equal(y, labels[index])
        values = np.asarray(x).ravel().astype(int)
        np.testing.assert_array_equal(values // 3, index)
        for i, view in zip(index, values % 3, strict=True):
            seen.setdefault(int(i), set()).add(int(view))
    # Three epochs, three views: every image showed each of them.
    assert all(views == {0, 1, 2} for views in seen.values())


@pytest.mark.parametrize("network", ["MobileNetV2", "ResNet50", "DenseNet121"])
def test_split_halves_make_the_whole(network):
    whole = getattr(keras.applications, network)(
        include_top=False, weights=None, input_shape=(64, 64, 3)
    )
    lower, upper = split_encoder(whole, (64, 64))
    assert lower.output_shape[1:3] == (4, 4)
    x = np.random.default_rng(0).uniform(-1, 1, (2, 64, 64, 3))
    np.testing.assert_allclose(upper(lower(x)), whole(x), atol=1e-5)
    assert len(upper.layers) < len(whole.layers)


def test_a_network_that_never_halves_is_refused():
    image = keras.Input((32, 32, 3))
    x = keras.layers.Conv2D(4, 3, padding="same")(image)
    x = keras.layers.Conv2D(4, 3, padding="same")(x)
    with pytest.raises(ValueError, match="fast=False"):
        split_encoder(keras.Model(image, x), (32, 32))


def test_cut_of_the_shipped_backbone():
    """As late as possible, but not inside a block (14 x 14 x 672)."""
    backbone, _ = load_efficientnet_lite("efficientnet_lite0_imagenet")
    lower, upper = split_encoder(backbone, (224, 224))
    shape = lower.compute_output_shape((1, 224, 224, 3))
    assert shape == (1, 14, 14, 112)
    assert upper.compute_output_shape(shape) == (1, 7, 7, 1280)


def test_validation_batches_are_every_photo_in_order():
    features = np.arange(10 * 2).reshape(10, 2, 1, 1, 1).astype("float16")
    labels = np.arange(10)
    batches = list(plain_feature_batches(features, labels, 4))
    assert [len(y) for _, y in batches] == [4, 4, 2]
    values = np.concatenate([np.asarray(x).ravel() for x, _ in batches])
    np.testing.assert_array_equal(values, np.arange(10) * 2)
