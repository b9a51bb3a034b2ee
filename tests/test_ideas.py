"""The ideas that the search tries: each does what its name says."""

import dataclasses

import idea_gates
import idea_heads
import keras
import numpy as np
import pytest
import tensorflow as tf
from idea_list import IDEAS
from idea_list import AveragedWeights
from idea_losses import MemoryMAMC
from idea_losses import RisingMAMC
from ideas import build
from naive import mamc
from small import batch

from mamc_keras import OSME
from mamc_keras import MAMCLoss
from mamc_keras import Recipe
from mamc_keras.models.split import split_encoder

HEADS = sorted({idea.classifier for idea in IDEAS.values()}, key=str)


def encoder():
    """Two stages, each of which ends in a sum of blocks."""
    keras.utils.set_random_seed(0)
    image = keras.Input((32, 32, 3))
    x = keras.layers.Conv2D(6, 3, 4, "same", activation="relu")(image)
    x = keras.layers.Add(name="stage")([x, keras.layers.Conv2D(6, 1)(x)])
    x = keras.layers.Conv2D(8, 3, 2, "same", activation="relu")(x)
    return keras.Model(image, x)


def classifier(cls, **arguments):
    keras.utils.set_random_seed(0)
    return cls(encoder(), 4, embedding_dim=5, reduction_ratio=2, **arguments)


@pytest.mark.parametrize("name", IDEAS)
def test_every_idea_is_a_recipe(name):
    dataclasses.replace(Recipe(), **IDEAS[name].recipe)


@pytest.mark.parametrize("cls", HEADS, ids=lambda cls: cls.__name__)
def test_every_head_learns(cls):
    plain = cls is idea_heads.PooledNeckClassifier
    model = classifier(cls, **({"num_attentions": 0} if plain else {}))
    images, labels = batch()
    model.compile(optimizer=keras.optimizers.Adam(0.01))
    before = [w.numpy() for w in model.trainable_weights]
    logs = model.fit(images / 255, labels, epochs=2, verbose=0).history
    assert np.isfinite(logs["loss"]).all()
    moved = [
        np.abs(w.numpy() - b).max()
        for w, b in zip(model.trainable_weights, before, strict=True)
    ]
    assert min(moved) > 0
    # The rates of the head are found by the layer's name.
    head = "pooled" if plain else "osme"
    assert {head, "predictions"} <= {x.name for x in model.layers}


def test_gates_start_as_they_say():
    features = np.random.default_rng(0).normal(size=(3, 2, 2, 64))

    def gates(cls):
        keras.utils.set_random_seed(0)
        layer = cls(2, 5, 4, grid_size=1)
        return layer.gates(keras.ops.convert_to_tensor(features)).numpy()

    np.testing.assert_allclose(gates(idea_gates.IdentityGates), 1.0)
    apart = gates(idea_gates.ApartGates).mean(axis=0)
    assert ((apart > 0.5).sum(axis=0) == 1).all()
    plain = gates(OSME)
    assert abs(plain - 0.5).max() < 0.45  # No channel begins open or shut.
    # The same function at the start: only how far a step goes is another.
    np.testing.assert_allclose(gates(idea_gates.SlowGates), plain, rtol=1e-5)
    np.testing.assert_allclose(gates(idea_gates.DecayedGates), plain)


def test_slow_gates_move_a_tenth_as_far():
    images, labels = batch()
    moved = []
    for cls in (OSME, idea_gates.SlowGates):
        keras.utils.set_random_seed(0)
        layer = cls(2, 5, 4, grid_size=1)
        features = keras.ops.convert_to_tensor(images[:, :4, :4] / 255)
        features = keras.ops.tile(features, (1, 1, 1, 8))
        before = layer.gates(features)
        optimizer = keras.optimizers.Adam(1e-3)
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(layer(features))
        kernel = layer.expanders[0].kernel
        (gradient,) = tape.gradient(loss, [kernel.value])
        optimizer.apply([gradient], [kernel])
        moved.append(np.abs(layer.gates(features) - before).max())
    assert moved[1] == pytest.approx(moved[0] / 10, rel=0.02)


def test_gates_of_places_differ_between_places():
    features = np.random.default_rng(0).normal(size=(2, 3, 3, 8))
    layer = idea_gates.PlaceGates(2, 5, 4, grid_size=1)
    made = layer(keras.ops.convert_to_tensor(features)).numpy()
    maps = layer.attention_maps(features.astype("float32")).numpy()
    for i in range(2):
        for p in range(2):
            pooled = np.zeros(8)
            for y in range(3):
                for x in range(3):
                    place = features[i, y, x]
                    hidden = place @ layer.reducers[p].kernel.numpy()
                    hidden = np.maximum(hidden, 0)
                    score = hidden @ layer.expanders[p].kernel.numpy()
                    excited = place / (1 + np.exp(-score))
                    pooled += excited / 9
                    seen = np.maximum(excited, 0).mean()
                    np.testing.assert_allclose(
                        maps[i, p, y, x], seen, rtol=1e-4
                    )
            expected = pooled @ layer.projections[p].kernel.numpy()
            np.testing.assert_allclose(made[i, p], expected, rtol=1e-4)


def test_dropped_gates_are_whole_at_test_time():
    model = classifier(IDEAS["gates_dropped"].classifier)
    plain = classifier(idea_heads.MAMCImageClassifier)
    plain.set_weights([w.numpy() for w in model.weights[: len(plain.weights)]])
    images = batch()[0] / 255
    expected = plain.predict(images, verbose=0)
    made = model.predict(images, verbose=0)
    np.testing.assert_allclose(made, expected, rtol=1e-5)
    trained = model(images, training=True)["logits"]
    assert np.abs(trained - expected).max() > 1e-3


@pytest.mark.parametrize(
    ("cls", "num_attentions"),
    [(idea_heads.NeckClassifier, 2), (idea_heads.PooledNeckClassifier, 0)],
)
def test_mamc_does_not_see_the_neck(cls, num_attentions):
    model = classifier(cls, num_attentions=num_attentions)
    images = batch()[0] / 255
    outputs = model.heads(images, training=True)
    flat = outputs["embeddings"].numpy().reshape(8, -1)
    x = (flat - flat.mean(0)) / np.sqrt(flat.var(0) + 1e-3)
    dense = model.output_dense
    expected = x @ dense.kernel.numpy() + dense.bias.numpy()
    np.testing.assert_allclose(
        outputs["logits"], expected, rtol=1e-3, atol=1e-4
    )


def test_branches_read_two_stages():
    model = classifier(idea_heads.TwoStagesClassifier)
    images = batch()[0] / 255
    outputs = model.heads(images)
    assert outputs["embeddings"].shape == (8, 4, 5)
    both = idea_heads.two_stages(model.backbone.encoder)(images)
    assert [x.shape[-1] for x in both] == [6, 8]
    np.testing.assert_allclose(
        outputs["embeddings"][:, 2:], model.osme.earlier(both[0]), rtol=1e-5
    )
    last = keras.layers.UpSampling2D(2)(both[1])
    maps = model.osme.attention_maps([both[0], last])
    expected = model.osme.earlier.attention_maps(both[0])
    np.testing.assert_allclose(maps[:, 2:], expected, rtol=1e-5)


def test_two_stages_of_the_half_that_the_search_trains():
    recipe = dataclasses.replace(
        Recipe(), image_size=(64, 64), num_attentions=1
    )
    names = [str(k) for k in range(4)]
    whole = build(recipe, IDEAS["stage_a_branch"], names, 10)
    lower, upper = split_encoder(whole.backbone.encoder, recipe.image_size)
    config = whole.get_config()
    config.update(backbone=upper, preprocessor=None, image_size=None)
    model = idea_heads.TwoStagesClassifier.from_config(config)
    maps = idea_heads.two_stages(model.backbone.encoder)
    assert [x.shape[-1] for x in maps.outputs] == [192, 1280]
    features = np.zeros((2, *lower.output_shape[1:]))
    assert model.heads(features)["embeddings"].shape == (2, 2, 512)


def test_each_branch_has_a_cross_entropy():
    model = classifier(idea_heads.ClassifierABranch, mamc_weight=0.0)
    images, labels = batch()
    model.compile(optimizer="sgd")
    outputs = model.heads(images / 255)
    total = 0.0
    kernel = model.output_dense.kernel.numpy().reshape(2, 5, 4)
    for p in range(2):
        logits = outputs["embeddings"][:, p].numpy() @ kernel[p]
        for i, label in enumerate(labels):
            score = logits[i] + model.output_dense.bias.numpy()
            total += np.log(np.exp(score).sum()) - score[label]
    value = model.compute_loss(None, labels, outputs)
    assert float(value) == pytest.approx(total / 16, rel=1e-4)


def test_memory_gives_positives_and_negatives_of_earlier_batches():
    rng = np.random.default_rng(0)
    loss = MemoryMAMC(size=6, start=1, shape=(2, 3))
    first, second = rng.normal(size=(2, 4, 2, 3)).astype("float32")
    labels = np.array([0, 0, 1, 1]), np.array([1, 1, 2, 2])
    alone = loss(labels[0], first)
    assert float(alone) == pytest.approx(float(MAMCLoss()(labels[0], first)))
    # Anchors of the second batch, the others only stand by.
    x = tf.Variable(second)
    with tf.GradientTape() as tape:
        value = loss(labels[1], x)
    gradient = tape.gradient(value, x)
    every = np.concatenate([second, first])
    names = np.concatenate([labels[1], labels[0]])
    naive = mamc(names.tolist(), every.tolist(), anchors=[0, 1, 2, 3])
    expected = sum(value for value, _ in naive.values()) * 8 / 4
    assert float(value) == pytest.approx(expected, rel=1e-4)
    slopes = sum(np.array(slope)[:4] for _, slope in naive.values()) * 8 / 4
    np.testing.assert_allclose(gradient, slopes, rtol=1e-3, atol=1e-5)
    assert float(value) != pytest.approx(float(MAMCLoss()(labels[1], second)))
    # The newest are kept, and the oldest go.
    np.testing.assert_allclose(loss.embeddings.numpy()[:4], second)
    np.testing.assert_allclose(loss.embeddings.numpy()[4:], first[:2])


def test_weight_of_mamc_rises():
    x = np.random.default_rng(0).normal(size=(4, 2, 3)).astype("float32")
    labels = np.array([0, 0, 1, 1])
    loss = RisingMAMC(steps=4)
    values = [float(loss(labels, x)) for _ in range(6)]
    whole = float(MAMCLoss()(labels, x))
    shares = [0, 0.25, 0.5, 0.75, 1, 1]
    np.testing.assert_allclose(values, np.array(shares) * whole, rtol=1e-5)


def test_average_follows_the_weights():
    model = classifier(idea_heads.MAMCImageClassifier)
    images, labels = batch()
    model.compile(optimizer=keras.optimizers.SGD(0.1))
    seen = [model.trainable_weights[0].numpy()]
    spy = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs: seen.append(
            model.trainable_weights[0].numpy()
        )
    )
    model.fit(
        images,
        labels,
        batch_size=4,
        epochs=2,
        verbose=0,
        callbacks=[spy, AveragedWeights(0.2)],
        shuffle=False,
    )
    mean = seen[0]
    assert len(seen) == 5
    for momentum, weight in zip(
        (1 / 10, 2 / 11, 0.2, 0.2), seen[1:], strict=True
    ):
        mean = momentum * mean + (1 - momentum) * weight
    final = model.trainable_weights[0].numpy()
    np.testing.assert_allclose(final, mean, rtol=1e-5)
