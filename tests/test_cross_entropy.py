import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf

from mamc_keras import Recipe
from mamc_keras.long_tail import balanced_weights
from mamc_keras.long_tail import logit_offsets
from mamc_keras.models.cross_entropy import CrossEntropy
from mamc_keras.training import build_model
from mamc_keras.training import compile_model


def naive(labels, logits, smoothing, priors=None, tau=0.0):
    """Loops over images and classes, float64."""
    total = 0.0
    for label, row in zip(labels, np.asarray(logits, np.float64), strict=True):
        p = np.exp(row)
        if tau:
            p = np.array([z * q**tau for z, q in zip(p, priors, strict=True)])
        p /= p.sum()
        for k in range(len(row)):
            target = (1 - smoothing) * (k == label) + smoothing / len(row)
            total -= target * np.log(p[k])
    return total / len(labels)


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.6])
@pytest.mark.parametrize("dtype", ["uint8", "int32", "int64"])
def test_equals_the_loops(smoothing, dtype):
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 5, 7).astype(dtype)
    logits = rng.normal(0, 3, (7, 5)).astype("float32")
    expected = naive(labels, logits, smoothing)
    loss = CrossEntropy(smoothing)
    for y in (labels, labels[:, None]):
        np.testing.assert_allclose(loss(y, logits), expected, rtol=1e-6)
    if smoothing:
        assert abs(naive(labels, logits, 0.0) - expected) > 0.01


@pytest.mark.parametrize("tau", [0.5, 1.0, 2.0])
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_logit_adjustment_equals_the_loops(tau, smoothing):
    rng = np.random.default_rng(3)
    counts = np.array([90, 6, 3, 1])
    labels = rng.integers(0, 4, 9)
    logits = rng.normal(0, 3, (9, 4)).astype("float32")
    expected = naive(labels, logits, smoothing, counts / 100, tau)
    loss = CrossEntropy(smoothing, logit_offsets(counts, tau))
    np.testing.assert_allclose(loss(labels, logits), expected, rtol=1e-5)
    assert abs(naive(labels, logits, smoothing) - expected) > 0.01


def test_logit_adjustment_learns_the_balanced_boundary():
    """The same photo in 9 of one class and 1 of another: a tie is right."""
    labels = np.array([0] * 9 + [1])
    for tau, odds in ((0.0, np.log(9)), (1.0, 0.0)):
        loss = CrossEntropy(logit_offsets=logit_offsets([9, 1], tau))
        z = keras.Variable(np.zeros((1, 2)))
        optimizer = keras.optimizers.SGD(2.0)
        for _ in range(80):
            with tf.GradientTape() as tape:
                value = loss(labels, keras.ops.repeat(z, 10, axis=0))
            optimizer.apply(tape.gradient(value, [z.value]), [z])
        assert float(z[0, 0] - z[0, 1]) == pytest.approx(odds, abs=0.02)


def test_absent_classes_have_finite_offsets_and_a_weight():
    assert np.isfinite(logit_offsets([3, 0, 1], 1.0)).all()
    assert logit_offsets([3, 0, 1], 0.0) is None
    weights = balanced_weights([6, 0, 2, 1])
    assert weights[1] == 1.0
    assert weights == pytest.approx({0: 0.5, 1: 1.0, 2: 1.5, 3: 3.0})


def test_slope_equals_the_one_hot_loss_of_keras():
    labels = np.array([2, 0, 1])
    logits = tf.Variable(np.random.default_rng(1).normal(0, 2, (3, 4)))
    one_hot = keras.losses.CategoricalCrossentropy(True, 0.2, dtype="float64")
    ours = CrossEntropy(0.2, dtype="float64")
    with tf.GradientTape(persistent=True) as tape:
        a = ours(labels, logits)
        b = one_hot(np.eye(4)[labels], logits)
    np.testing.assert_allclose(
        tape.gradient(a, logits), tape.gradient(b, logits), rtol=1e-9
    )


def test_survives_serialisation_and_refuses_nonsense():
    loss = keras.losses.deserialize(
        keras.losses.serialize(CrossEntropy(0.3, [-1.0, 0.0]))
    )
    assert loss.label_smoothing == 0.3
    assert loss.logit_offsets == [-1.0, 0.0]
    with pytest.raises(ValueError, match="Received: label_smoothing=1.5"):
        CrossEntropy(1.5)


def test_recipe_options_of_the_objective_train_a_step():
    """Every one of them at a value that is not the default."""
    recipe = Recipe(
        image_size=(32, 32),
        num_attentions=3,
        embedding_dim=8,
        reduction_ratio=4,
        grid_size=None,
        use_gates=False,
        dropout=0.0,
        mamc_weight=2.0,
        normalize=False,
        temperature=3.0,
        positives="sum",
        normalizer="pairs",
        term_weights=(1.0, 0.0, 0.5),
        warmup_epochs=0.0,
        weight_decay=0.0,
        label_smoothing=0.1,
        logit_adjustment=1.0,
        freeze_batch_norm=False,
    )
    defaults = dataclasses.asdict(Recipe())
    changed = {
        k for k, v in dataclasses.asdict(recipe).items() if v != defaults[k]
    }
    assert len(changed) == 18
    model = build_model(recipe, ["a", "b", "c"])
    compile_model(model, recipe, 4, [2, 5, 9])
    photos = np.random.default_rng(0).integers(0, 256, (6, 32, 32, 3))
    logs = model.train_on_batch(
        photos.astype("uint8"), np.array([0, 0, 1, 1, 2, 2]), return_dict=True
    )
    assert np.isfinite(list(logs.values())).all()
    assert isinstance(model.loss, CrossEntropy)
