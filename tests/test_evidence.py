"""What speaks for a class: maps that add up to its logit."""

import keras
import numpy as np
import pytest
from small import batch
from small import encoder

from mamc_keras import MAMCImageClassifier

SCALE = {"scale": 1 / 128, "offset": -1.0, "image_size": (32, 32)}


def build(**settings):
    keras.utils.set_random_seed(1)
    model = MAMCImageClassifier(
        encoder(), 4, SCALE, embedding_dim=8, **settings
    )
    rng = np.random.default_rng(0)
    for weight in model.osme.weights + model.output_dense.weights:
        weight.assign(rng.normal(size=weight.shape))
    return model


def without_biases(model, logits):
    """Logits less what the biases of classifier and projections add."""
    kernel, bias = model.output_dense.get_weights()
    added = bias
    if model.num_attentions:
        biases = [dense.bias.numpy() for dense in model.osme.projections]
        added = bias + np.concatenate(biases) @ kernel
    return logits - added


@pytest.mark.parametrize(
    "settings",
    [
        {"num_attentions": 3, "grid_size": 1},
        {"num_attentions": 2, "grid_size": 2},
        {"num_attentions": 2, "grid_size": None},
        {"num_attentions": 1, "use_gates": False},
        {"num_attentions": 0},
    ],
    ids=str,
)
def test_maps_add_up_to_the_logit(settings):
    model = build(**settings)
    images = batch()[0]
    logits = model.predict(images, verbose=0)
    expected = without_biases(model, logits)
    rows = np.arange(len(images))
    maps = model.evidence(images)
    branches = max(settings["num_attentions"], 1)
    assert maps.shape == (8, branches, 4, 4)
    best = logits.argmax(axis=1)
    scale = np.abs(expected).max()
    np.testing.assert_allclose(
        maps.sum(axis=(1, 2, 3)),
        expected[rows, best] - expected.mean(axis=1),
        atol=1e-4 * scale,
    )
    classes, others = rows % 4, (rows + 1) % 4
    maps = model.evidence(images, classes, others)
    np.testing.assert_allclose(
        maps.sum(axis=(1, 2, 3)),
        expected[rows, classes] - expected[rows, others],
        atol=1e-4 * scale,
    )
    one = model.evidence(images, classes)
    other = model.evidence(images, others)
    np.testing.assert_allclose(maps, one - other, atol=1e-4 * scale)


def test_what_all_classes_share_is_no_evidence():
    model = build(num_attentions=2)
    images = batch()[0]
    before = model.evidence(images)
    kernel = model.output_dense.kernel
    kernel.assign(kernel + 5 * np.random.default_rng(1).normal(size=(16, 1)))
    np.testing.assert_allclose(model.evidence(images), before, atol=1e-4)


def test_the_place_that_adds_is_where_the_object_is():
    # Only what lies in the upper left differs from an even ground.
    model = build(num_attentions=2, use_gates=False)
    ground = np.full((1, 32, 32, 3), 128.0)
    photo = ground.copy()
    photo[0, :8, :8] = [250, 10, 30]
    classes = np.array([2])
    change = model.evidence(photo, classes) - model.evidence(ground, classes)
    assert np.abs(change[:, :, 3, 3]).max() < 1e-6  # Far away, untouched.
    assert np.abs(change[:, :, 0, 0]).min() > 0.001
