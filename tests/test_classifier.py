import os
import subprocess
import sys
from pathlib import Path

import keras
import naive
import numpy as np
import pytest
import tensorflow as tf
from small import batch
from small import encoder
from small import freeze

from mamc_keras import MAMCImageClassifier
from mamc_keras import MAMCLoss

SCALE = {"scale": 1 / 128, "offset": -1.0, "image_size": (32, 32)}
HERE = Path(__file__).parent


def classifier(num_classes=4, **kwargs):
    keras.utils.set_random_seed(1)
    kwargs = {"embedding_dim": 8, "preprocessor": None, **kwargs}
    return freeze(MAMCImageClassifier(encoder(), num_classes, **kwargs))


def dataset(images, labels, *more, steps=1):
    """The same batch again and again, its size unknown to the graph."""
    data = tf.data.Dataset.from_tensors((images / 128 - 1, labels, *more))
    data = data.repeat(steps).unbatch().batch(len(labels))
    assert data.element_spec[0].shape[0] is None
    return data


def naive_terms(labels, embeddings, **conventions):
    terms = naive.mamc(
        list(map(int, labels)), embeddings.tolist(), **conventions
    )
    return {name: value for name, (value, _) in terms.items()}


def change(before, after):
    return max(np.abs(a - b).max() for a, b in zip(before, after, strict=True))


@pytest.mark.parametrize("num_attentions", [1, 2, 3])
def test_loss_is_cross_entropy_plus_weighted_terms(num_attentions):
    images, labels = batch()
    model = classifier(num_attentions=num_attentions, mamc_weight=0.7)
    model.compile(optimizer=keras.optimizers.SGD(0.0))
    logs = model.fit(dataset(images, labels), verbose=0).history
    heads = model.heads(tf.constant(images / 128 - 1))
    terms = naive_terms(
        labels,
        np.asarray(heads["embeddings"], "float64"),
        normalize=True,
        temperature=0.1,
        positives="mean",
        normalizer="anchors",
    )
    logits = np.asarray(heads["logits"], "float64")
    log_sum = np.log(np.exp(logits).sum(1))
    cross_entropy = np.mean(log_sum - logits[np.arange(8), labels])
    for name in ("sasc", "sadc", "dasc"):
        np.testing.assert_allclose(
            logs[name][0], terms[name], rtol=1e-4, atol=1e-6
        )
    expected = cross_entropy + 0.7 * sum(terms.values())
    np.testing.assert_allclose(logs["loss"][0], expected, rtol=1e-5)


class MeanSquare(keras.losses.Loss):
    """A user's own loss of labels and embeddings."""

    def call(self, y_true, y_pred):
        return keras.ops.mean(keras.ops.square(y_pred))


def test_another_embedding_loss_takes_the_place_of_mamc():
    images, labels = batch()
    loss = MeanSquare(name="mean_square")
    model = classifier(mamc_loss=loss, mamc_weight=0.7)
    model.compile(optimizer=keras.optimizers.SGD(0.0))
    logs = model.fit(dataset(images, labels), verbose=0).history
    heads = model.heads(tf.constant(images / 128 - 1))
    square = np.square(heads["embeddings"]).mean()
    entropy = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    entropy = float(entropy(labels, heads["logits"]))
    assert logs["mean_square"][0] == pytest.approx(square, rel=1e-5)
    assert logs["loss"][0] == pytest.approx(entropy + 0.7 * square, rel=1e-5)
    assert "sasc" not in logs
    assert "mean_square" not in model.evaluate(
        dataset(images, labels), return_dict=True, verbose=0
    )


def test_without_gates_the_classifier_trains_and_round_trips():
    images, labels = batch()
    model = classifier(use_gates=False)
    model.compile()
    assert np.isfinite(
        model.fit(dataset(images, labels), verbose=0).history["loss"]
    )
    again = MAMCImageClassifier.from_config(model.get_config())
    assert again.use_gates is False
    assert again.count_params() == model.count_params()


def test_every_trainable_weight_gets_a_gradient():
    images, labels = batch()
    # A ratio of 4, or the gates' one hidden unit may be dead by bad luck.
    model = classifier(num_attentions=3, reduction_ratio=4)
    with tf.GradientTape() as tape:
        y_pred = model(images / 128 - 1, training=True)
        loss = model.compute_loss(images, labels, y_pred)
    gradients = tape.gradient(loss, model.trainable_weights)
    assert all(np.abs(np.asarray(g)).max() > 0 for g in gradients)


def test_custom_train_step_equals_the_plain_one():
    images, labels = batch()
    after = []
    for step in (MAMCImageClassifier.train_step, keras.Model.train_step):
        model = classifier()
        cls = type("Variant", (MAMCImageClassifier,), {"train_step": step})
        model.__class__ = cls
        model.compile(optimizer=keras.optimizers.SGD(0.1))
        model.fit(dataset(images, labels, steps=3), verbose=0)
        after.append(model.get_weights())
    assert change(*after) < 1e-6


def test_evaluate_reports_cross_entropy_only():
    images, labels = batch()
    model = classifier()
    data = dataset(images, labels)
    model.fit(data, verbose=0, validation_data=data)
    logs = model.evaluate(data, verbose=0, return_dict=True)
    assert set(logs) == {"loss", "accuracy"}
    heads = model.heads(tf.constant(images / 128 - 1))
    expected = keras.losses.sparse_categorical_crossentropy(
        labels, heads["logits"], from_logits=True
    )
    np.testing.assert_allclose(logs["loss"], np.mean(expected), rtol=1e-5)


def test_predict_embed_attend():
    images, _ = batch(num_classes=20)  # 40 images: more than one batch
    model = classifier(20, num_attentions=3, preprocessor=SCALE)
    logits = model.predict(images, verbose=0)
    assert logits.shape == (40, 20)
    assert model.embed(images).shape == (40, 3, 8)
    maps = model.attend(images)
    assert maps.shape == (40, 3, 4, 4) and maps.min() >= 0
    probabilities = model.probabilities(images)
    np.testing.assert_allclose(
        probabilities, keras.ops.softmax(logits), atol=1e-5
    )
    softmax = classifier(20, preprocessor=SCALE, activation="softmax")
    softmax.set_weights(classifier(20, preprocessor=SCALE).get_weights())
    np.testing.assert_allclose(
        softmax.predict(images, verbose=0).sum(1), 1, atol=1e-5
    )


def test_padding_with_weight_zero_changes_nothing():
    images, labels = batch()
    weights = np.ones(8, "float32")
    padded = (
        np.concatenate([images, images[:2] * 0 + 77]),
        np.concatenate([labels, [0, 3]]),
        np.concatenate([weights, [0, 0]]).astype("float32"),
    )
    losses = []
    for data in ((images, labels, weights), padded):
        model = classifier()
        model.compile(
            optimizer=keras.optimizers.SGD(0.0),
            loss=keras.losses.SparseCategoricalCrossentropy(
                from_logits=True, reduction="mean_with_sample_weight"
            ),
        )
        losses.append(model.fit(dataset(*data), verbose=0).history)
    for name in ("loss", "sasc", "sadc", "dasc"):
        np.testing.assert_allclose(losses[0][name], losses[1][name], rtol=1e-5)


def test_class_weight_reaches_cross_entropy_and_terms():
    images, labels = batch()
    logs = []
    for weight in (
        {0: 1.0, 1: 1.0, 2: 1.0, 3: 1.0},
        {0: 0.0, 1: 1.0, 2: 1.0, 3: 1.0},
    ):
        model = classifier()
        model.compile(optimizer=keras.optimizers.SGD(0.0))
        logs.append(
            model.fit(
                dataset(images, labels), class_weight=weight, verbose=0
            ).history
        )
    keep = labels > 0
    model = classifier()
    model.compile(optimizer=keras.optimizers.SGD(0.0))
    without = model.fit(dataset(images[keep], labels[keep]), verbose=0).history
    assert logs[0]["sasc"] != logs[1]["sasc"]
    np.testing.assert_allclose(logs[1]["sasc"], without["sasc"], rtol=1e-5)


@pytest.mark.parametrize(
    "options",
    [
        {"jit_compile": True},
        {"jit_compile": False, "steps_per_execution": 3},
        {"run_eagerly": True},
    ],
    ids=str,
)
def test_ways_of_running_give_the_same_weights(options):
    images, labels = batch()
    after = []
    for extra in ({"jit_compile": False}, options):
        model = classifier()
        model.compile(optimizer=keras.optimizers.SGD(0.05), **extra)
        model.fit(dataset(images, labels, steps=4), verbose=0)
        after.append(model.get_weights())
    assert change(*after) < 2e-5


@pytest.mark.parametrize(
    "options",
    [
        {"gradient_accumulation_steps": 2},
        {"use_ema": True, "ema_overwrite_frequency": 2},
        {"global_clipnorm": 0.5},
    ],
    ids=str,
)
def test_optimizer_options_train(options):
    images, labels = batch()
    model = classifier()
    before = model.get_weights()
    model.compile(optimizer=keras.optimizers.AdamW(0.01, **options))
    history = model.fit(dataset(images, labels, steps=2), epochs=10, verbose=0)
    losses = history.history["loss"]
    assert losses[-1] < losses[0] and change(before, model.get_weights()) > 0


def test_mixed_float16_learns_as_float32_does():
    # Without loss scaling the weights hardly move, and nothing complains.
    images, labels = batch()
    moved = []
    for dtype in ("float32", "mixed_float16"):
        keras.config.set_dtype_policy(dtype)
        try:
            model = classifier()
            before = model.get_weights()
            model.compile(optimizer=keras.optimizers.SGD(0.05))
            model.fit(dataset(images, labels, steps=6), verbose=0)
            assert model.osme.compute_dtype == dtype.replace("mixed_", "")
        finally:
            keras.config.set_dtype_policy("float32")
        moved.append(
            sum(
                np.abs(a - b).sum()
                for a, b in zip(before, model.get_weights(), strict=True)
            )
        )
    assert moved[1] == pytest.approx(moved[0], rel=0.1)


def test_plain_softmax_is_pooling_and_dense():
    images, labels = batch()
    model = classifier(num_attentions=0, mamc_weight=0.5)
    assert model.mamc_weight == 0
    x = images / 128 - 1
    pooled = np.asarray(model.backbone(x)).mean((1, 2))
    np.testing.assert_allclose(model.embed(x)[:, 0], pooled, atol=1e-5)
    logs = model.fit(dataset(images, labels), verbose=0).history
    assert set(logs) == {"loss", "accuracy"}


def test_paper_head_needs_and_finds_a_static_size():
    with pytest.raises(ValueError, match="image_size"):
        MAMCImageClassifier(encoder(static=False), 4, grid_size=None)
    model = MAMCImageClassifier(
        encoder(static=False),
        4,
        grid_size=None,
        image_size=(48, 32),
        embedding_dim=8,
    )
    assert model.osme.projections[0].kernel.shape == (6 * 4 * 24, 8)
    assert model.predict(np.zeros((2, 48, 32, 3)), verbose=0).shape == (2, 4)


def test_wrong_arguments_are_named():
    with pytest.raises(ValueError, match="3 class_names and num_classes=4"):
        classifier(4, class_names=["a", "b", "c"])
    flat = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Flatten()])
    with pytest.raises(ValueError, match="feature map"):
        MAMCImageClassifier(flat, 4)
    with pytest.raises(ValueError, match="keras.Model"):
        MAMCImageClassifier("resnet", 4)


def test_literal_formula_is_one_call_away():
    images, labels = batch()
    paper = MAMCLoss(normalize=False, positives="sum", normalizer="pairs")
    model = classifier(mamc_loss=paper)
    model.compile(optimizer=keras.optimizers.SGD(0.0))
    logs = model.fit(dataset(images, labels), verbose=0).history
    heads = model.heads(tf.constant(images / 128 - 1))
    terms = naive_terms(
        labels,
        np.asarray(heads["embeddings"], "float64"),
        normalize=False,
        temperature=None,
        positives="sum",
        normalizer="pairs",
    )
    for name, value in terms.items():
        np.testing.assert_allclose(logs[name][0], value, rtol=1e-4)


def run_script(name, *arguments, **environment):
    environment = {
        **os.environ,
        "PYTHONPATH": f"{HERE}{os.pathsep}{HERE.parent}",
        "TF_CPP_MIN_LOG_LEVEL": "2",
        **environment,
    }
    done = subprocess.run(
        [sys.executable, str(HERE / "scripts" / name), *arguments],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_other_backends_train_through_compute_loss(backend):
    pytest.importorskip(
        backend, reason=f"{backend} is not installed in this environment"
    )
    output = run_script("other_backend.py", KERAS_BACKEND=backend)
    assert f"{backend} learns" in output
