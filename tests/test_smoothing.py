import dataclasses

import keras
import numpy as np
import pytest

from mamc_keras import Recipe
from mamc_keras.models.smoothing import SmoothedCrossEntropy
from mamc_keras.training import build_model
from mamc_keras.training import compile_model


def naive(labels, logits, smoothing):
    """Loops over images and classes, float64."""
    total = 0.0
    for label, row in zip(labels, np.asarray(logits, np.float64), strict=True):
        p = np.exp(row) / np.exp(row).sum()
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
    loss = SmoothedCrossEntropy(smoothing)
    for y in (labels, labels[:, None]):
        np.testing.assert_allclose(loss(y, logits), expected, rtol=1e-6)
    if smoothing:
        assert abs(naive(labels, logits, 0.0) - expected) > 0.01


def test_slope_equals_the_one_hot_loss_of_keras():
    import tensorflow as tf

    labels = np.array([2, 0, 1])
    logits = tf.Variable(np.random.default_rng(1).normal(0, 2, (3, 4)))
    one_hot = keras.losses.CategoricalCrossentropy(True, 0.2, dtype="float64")
    ours = SmoothedCrossEntropy(0.2, dtype="float64")
    with tf.GradientTape(persistent=True) as tape:
        a = ours(labels, logits)
        b = one_hot(np.eye(4)[labels], logits)
    np.testing.assert_allclose(
        tape.gradient(a, logits), tape.gradient(b, logits), rtol=1e-9
    )


def test_survives_serialisation_and_refuses_nonsense():
    loss = keras.losses.deserialize(
        keras.losses.serialize(SmoothedCrossEntropy(0.3))
    )
    assert loss.label_smoothing == 0.3
    with pytest.raises(ValueError, match="Received: label_smoothing=1.5"):
        SmoothedCrossEntropy(1.5)


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
        freeze_batch_norm=False,
    )
    defaults = dataclasses.asdict(Recipe())
    changed = {
        k for k, v in dataclasses.asdict(recipe).items() if v != defaults[k]
    }
    assert len(changed) == 17
    model = build_model(recipe, ["a", "b", "c"])
    compile_model(model, recipe, 4)
    photos = np.random.default_rng(0).integers(0, 256, (6, 32, 32, 3))
    logs = model.train_on_batch(
        photos.astype("uint8"), np.array([0, 0, 1, 1, 2, 2]), return_dict=True
    )
    assert np.isfinite(list(logs.values())).all()
    assert isinstance(model.loss, SmoothedCrossEntropy)
