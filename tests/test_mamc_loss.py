"""MAMC against the formula in plain loops, and where it could break."""

import itertools
import json
import os
import subprocess
import sys
from pathlib import Path

import keras
import naive
import numpy as np
import pytest
import tensorflow as tf

from mamc_keras import mamc_loss
from mamc_keras.mamc_loss import MAMCLoss
from mamc_keras.mamc_loss import mamc_terms

LITERAL = {"normalize": False, "positives": "sum", "normalizer": "pairs"}
OPTIONS = [
    {"normalize": n, "temperature": t, "positives": p, "normalizer": z}
    for n, t, p, z in itertools.product(
        (True, False), (None, 0.7), ("mean", "sum"), ("anchors", "pairs")
    )
]
LABELS = {
    "pairs": [0, 0, 1, 1, 2, 2],
    "shuffled": [2, 0, 1, 0, 2, 1],
    "uneven": [4, 4, 4, 1, 1, 9],
    "lone": [3, 7, 7],
    "all lone": [0, 1, 2],
    "one class": [5, 5, 5],
    "two of a class": [5, 5],
    "one image": [8],
}


def make_embeddings(num_images, num_attentions=2, size=3, seed=0):
    generator = np.random.default_rng(seed)
    return generator.normal(size=(num_images, num_attentions, size))


def value_and_gradient(labels, embeddings, *args, **options):
    """Terms of the package: dict term -> (value, gradient), float64."""
    embeddings = tf.constant(embeddings)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(embeddings)
        terms = mamc_terms(np.array(labels), embeddings, *args, **options)
    return {
        name: (
            float(value),
            tape.gradient(value, embeddings, unconnected_gradients="zero"),
        )
        for name, value in terms.items()
    }


def check_against_loops(
    labels, embeddings, weights=None, anchors=None, **options
):
    found = value_and_gradient(labels, embeddings, weights, anchors, **options)
    wanted = naive.mamc(
        labels, np.asarray(embeddings).tolist(), weights, anchors, **options
    )
    assert list(found) == ["sasc", "sadc", "dasc"]
    for name, (value, gradient) in wanted.items():
        np.testing.assert_allclose(found[name][0], value, 1e-10, 1e-12)
        np.testing.assert_allclose(found[name][1], gradient, 1e-9, 1e-11)


# === The formula ===


@pytest.mark.parametrize("num_attentions", [1, 2, 3, 4])
@pytest.mark.parametrize("labels", LABELS.values(), ids=LABELS.keys())
def test_matches_loops_for_any_labels(labels, num_attentions):
    embeddings = make_embeddings(len(labels), num_attentions)
    check_against_loops(labels, embeddings)
    check_against_loops(labels, embeddings, **LITERAL)


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_matches_loops_for_any_option(options):
    labels = LABELS["uneven"]
    check_against_loops(labels, make_embeddings(len(labels), 3), **options)


@pytest.mark.parametrize("options", [{}, LITERAL], ids=["default", "literal"])
def test_matches_loops_with_weights_and_anchors(options):
    labels = [0, 1, 1, 0, 2, 2, 0]
    weights = [1.0, 0.5, 0.0, 2.0, 1.0, 0.0, 3.0]
    embeddings = make_embeddings(len(labels))
    check_against_loops(labels, embeddings, weights, **options)
    check_against_loops(labels, embeddings, weights, [4, 2, 0], **options)


def test_reference_gradient_is_the_slope_of_its_value():
    labels, step = [0, 1, 0, 1, 1], 1e-5
    for options in ({}, LITERAL):
        embeddings = make_embeddings(len(labels))
        gradients = naive.mamc(labels, embeddings.tolist(), **options)
        for place in [(0, 0, 0), (3, 1, 2), (4, 0, 1)]:
            sides = []
            for move in (-step, step):
                moved = embeddings.copy()
                moved[place] += move
                sides.append(naive.mamc(labels, moved.tolist(), **options))
            for name in naive.TERMS:
                slope = (sides[1][name][0] - sides[0][name][0]) / (2 * step)
                exact = np.array(gradients[name][1])[place]
                np.testing.assert_allclose(exact, slope, 1e-6, 1e-8)


def test_value_worked_out_by_hand():
    # P = 1, raw: anchor a = b = 1, c = -1. Anchor a: positive b (s = 1),
    # negative c (s = -1): log(1 + e^-2). b alike; c has no positive.
    terms = mamc_terms([0, 0, 1], [[[1.0]], [[1.0]], [[-1.0]]], **LITERAL)
    np.testing.assert_allclose(terms["sasc"], 2 * np.log1p(np.exp(-2)) / 1.5)
    # P = 1 has no other attention: no negatives, no positives.
    assert float(terms["sadc"]) == float(terms["dasc"]) == 0


# === Mutations: the comparison above must notice each of them ===


def own_positive(classes, images, attentions, anchors, sets):
    itself = anchors[:, None] == tf.range(len(classes))[None]
    positives, negatives = sets["sasc"]
    return {**sets, "sasc": (positives | itself, negatives)}


def dasc_without_own_image(classes, images, attentions, anchors, sets):
    same_image = tf.gather(images, anchors)[:, None] == images[None]
    positives, negatives = sets["dasc"]
    return {**sets, "dasc": (positives & ~same_image, negatives)}


def sasc_without_dadc(classes, images, attentions, anchors, sets):
    positives, negatives = sets["sasc"]
    return {**sets, "sasc": (positives, negatives & ~sets["dasc"][1])}


def sasc_without_dasc(classes, images, attentions, anchors, sets):
    positives, negatives = sets["sasc"]
    return {**sets, "sasc": (positives, negatives & ~sets["dasc"][0])}


def other_classes_in_sasc(classes, images, attentions, anchors, sets):
    positives, negatives = sets["sasc"]
    return {**sets, "sasc": (positives | sets["sadc"][0], negatives)}


def sadc_with_dasc_negatives(classes, images, attentions, anchors, sets):
    positives, negatives = sets["sadc"]
    return {**sets, "sadc": (positives, negatives | sets["dasc"][0])}


def dasc_with_sadc_negatives(classes, images, attentions, anchors, sets):
    positives, negatives = sets["dasc"]
    return {**sets, "dasc": (positives, negatives | sets["sadc"][0])}


def sadc_and_dasc_swapped(classes, images, attentions, anchors, sets):
    return {**sets, "sadc": sets["dasc"], "dasc": sets["sadc"]}


def attentions_laid_out_first(classes, images, attentions, anchors, sets):
    num_images = int(images[-1]) + 1
    index = tf.range(len(classes))
    return ORIGINAL(classes, index % num_images, index // num_images, anchors)


def classes_laid_out_last(classes, images, attentions, anchors, sets):
    num_attentions = int(attentions[-1]) + 1
    tiled = tf.tile(classes[::num_attentions], [num_attentions])
    return ORIGINAL(tiled, images, attentions, anchors)


def diagonal_of_the_first_anchors(classes, images, attentions, anchors, sets):
    # Forgets that anchors may be a part of the batch.
    return ORIGINAL(classes, images, attentions, tf.range(len(anchors)))


ORIGINAL = mamc_loss.pair_sets
MUTATIONS = [
    own_positive,
    dasc_without_own_image,
    sasc_without_dadc,
    sasc_without_dasc,
    other_classes_in_sasc,
    sadc_with_dasc_negatives,
    dasc_with_sadc_negatives,
    sadc_and_dasc_swapped,
    attentions_laid_out_first,
    classes_laid_out_last,
    diagonal_of_the_first_anchors,
]


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda m: m.__name__)
@pytest.mark.parametrize("options", [{}, LITERAL], ids=["default", "literal"])
def test_comparison_notices_wrong_sets(mutation, options, monkeypatch):
    labels, anchors = LABELS["shuffled"], [5, 1, 2]
    embeddings = make_embeddings(len(labels))

    def mutated(*args):
        return mutation(*args, ORIGINAL(*args))

    check_against_loops(labels, embeddings, None, anchors, **options)
    monkeypatch.setattr(mamc_loss, "pair_sets", mutated)
    with pytest.raises(AssertionError, match="Not equal to tolerance"):
        check_against_loops(labels, embeddings, None, anchors, **options)


def test_comparison_notices_one_that_ignores_padding(monkeypatch):
    labels, weights = LABELS["pairs"], [1.0, 1.0, 1.0, 1.0, 0.0, 0.0]
    embeddings = make_embeddings(len(labels))
    check_against_loops(labels, embeddings, weights)
    monkeypatch.setattr(
        mamc_loss.ops, "not_equal", lambda x, y: tf.ones_like(x, bool)
    )
    with pytest.raises(AssertionError, match="Not equal to tolerance"):
        check_against_loops(labels, embeddings, weights)


# === Weights, anchors and order ===


@pytest.mark.parametrize("options", [{}, LITERAL], ids=["default", "literal"])
def test_padding_is_as_if_it_were_not_there(options):
    labels, embeddings = LABELS["uneven"], make_embeddings(6)
    alone = value_and_gradient(labels, embeddings, **options)
    rubbish = np.full((2, 2, 3), np.nan)
    rubbish[1] = 1e30
    padded = value_and_gradient(
        [4, *labels, 77],
        np.concatenate([rubbish[:1], embeddings, rubbish[1:]]),
        [0, 1, 1, 1, 1, 1, 1, 0],
        **options,
    )
    for name, (value, gradient) in alone.items():
        np.testing.assert_allclose(padded[name][0], value, 1e-12)
        np.testing.assert_allclose(padded[name][1][1:-1], gradient, 1e-10)
        assert not np.any(padded[name][1][0]) and not np.any(
            padded[name][1][-1]
        )


def test_all_weights_zero_give_zero():
    found = value_and_gradient([0, 0, 1], make_embeddings(3), np.zeros(3))
    for value, gradient in found.values():
        assert value == 0 and not np.any(gradient)


@pytest.mark.parametrize("options", [{}, LITERAL], ids=["default", "literal"])
def test_parts_of_the_anchors_add_up(options):
    labels, embeddings = LABELS["shuffled"], make_embeddings(6)
    weights = np.array([1.0, 2.0, 0.0, 1.0, 1.0, 0.5])
    whole = value_and_gradient(labels, embeddings, weights, **options)
    parts = [
        value_and_gradient(labels, embeddings, weights, anchors, **options)
        for anchors in ([0, 4], np.array([5, 1, 2], "int64"), tf.constant([3]))
    ]
    for name, (value, gradient) in whole.items():
        np.testing.assert_allclose(sum(p[name][0] for p in parts), value)
        np.testing.assert_allclose(
            sum(p[name][1] for p in parts), gradient, 1e-9, 1e-12
        )


def test_order_of_images_does_not_matter():
    labels, embeddings = np.array(LABELS["uneven"]), make_embeddings(6, 3)
    order = np.random.default_rng(1).permutation(6)
    first = value_and_gradient(labels, embeddings)
    second = value_and_gradient(labels[order], embeddings[order])
    for name, (value, gradient) in first.items():
        np.testing.assert_allclose(second[name][0], value)
        np.testing.assert_allclose(second[name][1], np.array(gradient)[order])


def blocks_of(monkeypatch, num_images, row_bytes):
    """Lets the matrix hold so many images, and counts blocks as they run."""
    monkeypatch.setattr(mamc_loss, "MATRIX_BYTES", row_bytes * num_images)
    shapes, split = [], mamc_loss.in_blocks

    def counted(function, embeddings, blocks):
        shapes.append(tf.shape(blocks))
        return split(function, embeddings, blocks)

    monkeypatch.setattr(mamc_loss, "in_blocks", counted)
    return shapes


@pytest.mark.parametrize("mode", ["eager", "graph", "xla"])
@pytest.mark.parametrize("num_images", [1, 2, 4])
def test_blocks_of_the_matrix_change_nothing(monkeypatch, num_images, mode):
    labels, embeddings = LABELS["shuffled"], tf.constant(make_embeddings(6))
    shapes = blocks_of(monkeypatch, num_images, 4 * 2 * 6 * 2)  # P = 2

    def run(embeddings):
        with tf.GradientTape() as tape:
            tape.watch(embeddings)
            value = sum(mamc_terms(labels, embeddings).values())
        return value, tape.gradient(value, embeddings), shapes[-1]

    if mode != "eager":
        run = tf.function(run, jit_compile=mode == "xla")
    value, gradient, shape = run(embeddings)
    # Four of six images fit: two even blocks, not four images and two.
    assert tuple(shape) == {1: (6, 1), 2: (3, 2), 4: (2, 3)}[num_images]
    wanted = naive.mamc(labels, embeddings.numpy().tolist())
    np.testing.assert_allclose(value, sum(v for v, _ in wanted.values()), 1e-12)
    slope = sum(np.array(gradient) for _, gradient in wanted.values())
    np.testing.assert_allclose(gradient, slope, 1e-10, 1e-14)


@pytest.mark.parametrize(
    "xla, options",
    [(False, {}), (False, LITERAL), (True, {})],
    ids=["default", "literal", "xla"],
)
def test_blocks_of_an_unknown_batch_size(monkeypatch, xla, options):
    # Seven embeddings of three branches: 84 bytes a row, two images a block
    # of five; the same graph then takes everything at once.
    shapes = blocks_of(monkeypatch, 2, 4 * 3 * 7 * 3)
    shares = {"sasc": 1, "sadc": 10, "dasc": 100}

    @tf.function(
        jit_compile=xla,
        input_signature=[
            tf.TensorSpec([None], "int32"),
            tf.TensorSpec([None, 3, 4], "float64"),
            tf.TensorSpec([None], "float64"),
            tf.TensorSpec([None], "int32"),
        ],
    )
    def run(labels, embeddings, weights, anchors):
        terms = mamc_terms(labels, embeddings, weights, anchors, **options)
        total = sum(s * terms[k] for k, s in shares.items())
        return terms, tf.gradients(total, embeddings)[0], shapes[-1]

    def check(labels, weights, anchors, shape):
        embeddings = make_embeddings(len(labels), 3, 4)
        terms, slope, found = run(
            tf.constant(labels, "int32"),
            tf.constant(embeddings),
            tf.constant(weights, "float64"),
            tf.constant(anchors, "int32"),
        )
        assert tuple(found) == shape
        wanted = naive.mamc(
            labels, embeddings.tolist(), weights, anchors, **options
        )
        for name, (value, _) in wanted.items():
            np.testing.assert_allclose(terms[name], value, 1e-10, 1e-12)
        total = sum(s * np.array(wanted[k][1]) for k, s in shares.items())
        np.testing.assert_allclose(slope, total, 1e-9, 1e-10)

    weights = [1.0, 0.5, 0.0, 2.0, 1.0, 0.0, 3.0]
    check([0, 1, 1, 0, 2, 2, 0], weights, [6, 2, 0, 1, 3], (3, 2))
    check([0, 1, 1, 0, 2, 2, 0], weights, [], (1, 0))  # an empty replica
    check([4, 4, 1], [1.0, 2.0, 1.0], [0, 1, 2], (1, 3))
    assert len(shapes) == 1  # traced once


def test_one_block_at_a_time():
    @tf.function(input_signature=[tf.TensorSpec([None, 2, 3], "float32")])
    def run(embeddings):
        labels = tf.range(tf.shape(embeddings)[0]) // 2
        value = sum(mamc_terms(labels, embeddings).values())
        return tf.gradients(value, embeddings)

    graph = run.get_concrete_function().graph
    loops = [n for n in graph.get_operations() if "While" in n.type]
    assert len(loops) == 2  # forward, gradient
    for loop in loops:
        assert loop.get_attr("parallel_iterations") == 1
        # Lists of the anchors and of the values; none for the gradient.
        kept = [t for t in loop.outputs if t.dtype == tf.variant]
        assert len(kept) <= 2


# === Numbers at their limits ===


@pytest.mark.parametrize("scale", [1e-3, 1e2, 1e4, 1e18])
@pytest.mark.parametrize("options", [{}, LITERAL], ids=["default", "literal"])
def test_finite_at_any_length(scale, options):
    labels = LABELS["uneven"]
    embeddings = make_embeddings(6).astype("float32")
    embeddings /= np.linalg.norm(embeddings, axis=-1, keepdims=True)
    found = value_and_gradient(labels, scale * embeddings, **options)
    for value, gradient in found.values():
        assert np.isfinite(value) and np.all(np.isfinite(gradient))
    if not options:  # cosine does not know the length
        for name, (value, _) in value_and_gradient(labels, embeddings).items():
            np.testing.assert_allclose(found[name][0], value, 1e-5)


def test_cosine_beyond_float32_squares():
    embeddings = 1e37 * make_embeddings(4).astype("float32")
    found = value_and_gradient([0, 0, 1, 1], embeddings)
    assert found["sasc"][0] > 0.1
    assert all(np.all(np.isfinite(g)) for _, g in found.values())


@pytest.mark.parametrize("tiny", [0.0, 1e-30, 1e-8])
def test_rows_without_direction_have_a_small_gradient(tiny):
    embeddings = make_embeddings(4).astype("float32")
    embeddings[1, 0] *= tiny
    embeddings[2] *= tiny
    for value, gradient in value_and_gradient(
        [0, 0, 1, 1], embeddings
    ).values():
        assert np.isfinite(value) and np.all(np.isfinite(gradient))
        assert np.max(np.abs(gradient)) < 20
    if tiny == 0:
        check_against_loops([0, 0, 1, 1], embeddings.astype("float64"))


@pytest.mark.parametrize("labels", [[5, 5, 5], [0, 1, 2], [0]], ids=str)
@pytest.mark.parametrize("jit_compile", [False, True])
def test_empty_sets_give_zero_and_no_nan(labels, jit_compile):
    # With one attention only SASC can have both sets, and not here.
    embeddings = make_embeddings(len(labels), num_attentions=1)
    embeddings = tf.constant(1e3 * embeddings, "float32")

    @tf.function(jit_compile=jit_compile)
    def loss(embeddings):
        value = sum(mamc_terms(tf.constant(labels), embeddings).values())
        return value, tf.gradients(value, embeddings)[0]

    value, gradient = loss(embeddings)
    assert float(value) == 0 and not np.any(gradient)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_is_computed_in_float32(dtype):
    # Norm 400 raw: products of 160,000 do not fit into float16.
    embeddings = tf.cast(400 * make_embeddings(4, size=8), dtype)
    labels = np.array([0, 0, 1, 1])
    for options in ({}, LITERAL):
        exact = mamc_terms(labels, tf.cast(embeddings, "float32"), **options)
        for name, value in mamc_terms(labels, embeddings, **options).items():
            assert value.dtype == "float32"
            np.testing.assert_allclose(value, exact[name], 1e-6)
        loss = MAMCLoss(**options, dtype="mixed_" + dtype)
        found = loss(labels, embeddings)
        assert loss.dtype == "float32"
        np.testing.assert_allclose(found, sum(exact.values()), 1e-6)


@pytest.mark.parametrize("dtype", ["uint8", "int8", "uint16", "int32", "int64"])
def test_integer_labels_of_any_type(dtype):
    embeddings = make_embeddings(4)
    wanted = sum(mamc_terms([0, 0, 1, 1], embeddings).values())
    labels = np.array([120, 120, 3, 3], dtype)
    for shape in [(4,), (4, 1)]:
        found = MAMCLoss(dtype="float64")(labels.reshape(shape), embeddings)
        np.testing.assert_allclose(found, wanted)
    terms = mamc_terms(labels.reshape(4, 1), embeddings)
    np.testing.assert_allclose(sum(terms.values()), wanted)


@pytest.mark.parametrize("large", [2**24, 2**40], ids=["2^24", "2^40"])
def test_large_class_numbers_do_not_collide(large):
    labels = np.array([large, large + 1, large, large + 1])
    embeddings = make_embeddings(4)
    wanted = sum(mamc_terms([0, 1, 0, 1], embeddings).values())
    assert np.float32(large) == np.float32(large + 1)
    np.testing.assert_allclose(
        MAMCLoss(dtype="float64")(labels, embeddings), wanted
    )
    terms = mamc_terms(labels, embeddings)
    np.testing.assert_allclose(sum(terms.values()), wanted)


# === The Keras loss ===


def test_loss_reductions():
    labels, embeddings = LABELS["uneven"], make_embeddings(6)
    weights = np.array([1.0, 2.0, 0.0, 1.0, 1.0, 1.0])
    for options in ({}, LITERAL):
        terms = mamc_terms(np.array(labels), embeddings, weights, **options)
        wanted = 2 * terms["sasc"] + 0.5 * terms["dasc"]

        def loss(reduction, options=options):
            layer = MAMCLoss(
                **options,
                term_weights=(2, 0, 0.5),
                reduction=reduction,
                dtype="float64",
            )
            return layer(labels, embeddings, weights)

        for mean in ("sum_over_batch_size", "mean", "mean_with_sample_weight"):
            np.testing.assert_allclose(loss(mean), wanted)
        assert loss(None).shape == (6,)
        np.testing.assert_allclose(np.mean(loss(None)), wanted)
        np.testing.assert_allclose(loss("sum"), 6 * wanted)


def test_loss_round_trip():
    loss = MAMCLoss(
        normalize=False,
        temperature=0.3,
        positives="sum",
        normalizer="pairs",
        term_weights=[1, 0.5, 0],
        name="metric",
        reduction="sum",
        dtype="float64",
    )
    config = json.loads(json.dumps(keras.losses.serialize(loss)))
    again = keras.losses.deserialize(config)
    assert again.get_config() == loss.get_config()
    assert again.dtype == "float64" and again.name == "metric"
    labels, embeddings = [0, 0, 1], make_embeddings(3)
    assert again(labels, embeddings) == loss(labels, embeddings)


def tiny_model(**compile_options):
    images = keras.Input((4,), name="images")
    embeddings = keras.layers.Dense(6, name="dense")(images)
    embeddings = keras.layers.Reshape((2, 3), name="embeddings")(embeddings)
    logits = keras.layers.Flatten(name="flat")(embeddings)
    logits = keras.layers.Dense(3, name="logits")(logits)
    model = keras.Model(images, {"logits": logits, "embeddings": embeddings})
    model.compile(
        optimizer=keras.optimizers.SGD(0.0),
        loss={
            "logits": keras.losses.SparseCategoricalCrossentropy(True),
            "embeddings": MAMCLoss(),
        },
        loss_weights={"logits": 1.0, "embeddings": 0.5},
        **compile_options,
    )
    return model


@pytest.mark.parametrize("jit_compile", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
def test_fit_with_unknown_batch_size(jit_compile, weighted):
    generator = np.random.default_rng(0)
    images = generator.normal(size=(6, 4)).astype("float32")
    labels = np.array([0, 1, 2, 0, 1, 2])
    weights = np.array([1, 1, 0, 2, 1, 1], "float32") if weighted else None
    arrays = (images, {"logits": labels, "embeddings": labels})
    if weighted:
        arrays += ({"logits": weights, "embeddings": weights},)
    # The labels of the loss are far above float32's integers.
    arrays[1]["embeddings"] = labels.astype("int64") + 2**24
    dataset = tf.data.Dataset.from_tensor_slices(arrays).batch(6)
    assert dataset.element_spec[0].shape[0] is None
    model = tiny_model(jit_compile=jit_compile)
    history = model.fit(dataset, verbose=0, shuffle=False).history
    terms = mamc_terms(labels, model(images)["embeddings"], weights)
    wanted = float(sum(terms.values()))
    np.testing.assert_allclose(history["embeddings_loss"], wanted, 1e-5)


def test_fit_lowers_the_loss_in_mixed_precision():
    images = np.random.default_rng(0).normal(size=(8, 4)).astype("float32")
    labels = np.repeat([0, 1, 2, 3], 2)
    inputs = keras.Input((4,))
    x = keras.layers.Dense(8, dtype="mixed_float16")(inputs)
    model = keras.Model(inputs, keras.layers.Reshape((2, 4))(x))
    model.compile(keras.optimizers.Adam(0.05), MAMCLoss())
    history = model.fit(
        images, labels, batch_size=8, epochs=30, verbose=0, shuffle=False
    )
    losses = history.history["loss"]
    assert np.all(np.isfinite(losses)) and losses[-1] < 0.6 * losses[0]


@pytest.mark.parametrize(
    "options, word",
    [
        ({"temperature": 0}, "temperature=0"),
        ({"temperature": -1.0}, "temperature=-1.0"),
        ({"positives": "all"}, "positives='all'"),
        ({"normalizer": None}, "normalizer=None"),
        ({"term_weights": (1, 1)}, "term_weights"),
        ({"term_weights": (1, 1, -1)}, "term_weights"),
    ],
)
def test_wrong_conventions_are_refused(options, word):
    with pytest.raises(ValueError, match=word):
        MAMCLoss(**options)
    if "term_weights" not in options:
        with pytest.raises(ValueError, match=word):
            mamc_terms([0, 0], make_embeddings(2), **options)


@pytest.mark.parametrize(
    "labels, shape, weights",
    [
        (np.zeros((3, 2)), (3, 2, 4), None),
        (np.zeros(()), (3, 2, 4), None),
        (np.zeros(4), (3, 2, 4), None),
        (np.zeros(3), (3, 4), None),
        (np.zeros(3), (3, 2, 4), np.ones((3, 2))),
    ],
)
def test_wrong_shapes_are_refused(labels, shape, weights):
    labels = labels.astype("int32")
    with pytest.raises(ValueError, match="MAMC needs .* Received: .* Give"):
        mamc_terms(labels, np.zeros(shape), weights)
    with pytest.raises(ValueError, match="MAMC needs .* Received: .* Give"):
        MAMCLoss()(labels, np.zeros(shape, "float32"), weights)


# === JAX ===

JAX_SCRIPT = """
import json, sys
import jax, keras, numpy as np
from mamc_keras import mamc_loss
from mamc_keras.mamc_loss import MAMCLoss, mamc_terms
from mamc_keras.osme import OSME

data = json.load(sys.stdin)
labels = np.array(data["labels"])
weights = np.array(data["weights"], "float32")
embeddings = np.array(data["embeddings"], "float32")
features = np.array(data["features"], "float32")
layers = []
for grid_size, values in zip(data["grid_sizes"], data["osme"]):
    layers.append(OSME(2, 4, 2, grid_size))
    layers[-1].build(features.shape)
    layers[-1].set_weights([np.array(v, "float32") for v in values])

def total(x, options):
    return sum(mamc_terms(labels, x, weights, **options).values())

def sasc(x, lone):
    return mamc_terms(np.array(lone), x)["sasc"]

def in_blocks(x):
    mamc_loss.MATRIX_BYTES, kept = 200, mamc_loss.MATRIX_BYTES
    value = total(x, {})
    mamc_loss.MATRIX_BYTES = kept
    return value

@jax.jit  # one compilation for everything is the fastest way
def run(embeddings, features):
    return {
        "loss": [
            (
                *jax.value_and_grad(total)(embeddings, options),
                MAMCLoss(**options)(labels, embeddings, weights),
            )
            for options in data["options"]
        ],
        # No negatives, or no positives: zero, and no NaN in the gradient.
        "lone": [
            jax.value_and_grad(sasc)(embeddings[:3, :1], lone)
            for lone in ([1, 1, 1], [0, 1, 2])
        ],
        "blocks": jax.value_and_grad(in_blocks)(embeddings),
        "osme": [
            (layer(features), layer.gates(features),
             layer.attention_maps(features))
            for layer in layers
        ],
    }

found = jax.tree.map(
    lambda x: np.array(x).tolist(), run(embeddings, features)
)
found["backend"] = keras.backend.backend()
json.dump(found, sys.stdout)
"""


def test_jax_gives_the_same_numbers():
    from mamc_keras.osme import OSME

    labels = LABELS["uneven"]
    weights = [1.0, 2.0, 1.0, 0.0, 1.0, 1.0]
    embeddings = make_embeddings(6).astype("float32")
    options = [{}, LITERAL]
    features = np.random.default_rng(3).normal(size=(2, 5, 4, 6))
    features = features.astype("float32")
    grid_sizes = [None, 3]
    layers = [OSME(2, 4, 2, grid_size) for grid_size in grid_sizes]
    wanted = [
        (layer(features), layer.gates(features), layer.attention_maps(features))
        for layer in layers
    ]
    data = {
        "labels": labels,
        "weights": weights,
        "embeddings": embeddings.tolist(),
        "options": options,
        "features": features.tolist(),
        "grid_sizes": grid_sizes,
        "osme": [
            [weight.tolist() for weight in layer.get_weights()]
            for layer in layers
        ],
    }
    root = str(Path(mamc_loss.__file__).parents[1])
    run = subprocess.run(
        [sys.executable, "-c", JAX_SCRIPT],
        input=json.dumps(data),
        capture_output=True,
        text=True,
        cwd=root,
        env={**os.environ, "KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu"},
        timeout=300,
    )
    assert run.returncode == 0, run.stderr[-3000:]
    found = json.loads(run.stdout)
    assert found["backend"] == "jax"
    for option, (value, gradient, loss) in zip(
        options, found["loss"], strict=True
    ):
        terms = value_and_gradient(labels, embeddings, weights, **option)
        total = sum(value for value, _ in terms.values())
        slope = sum(gradient.numpy() for _, gradient in terms.values())
        np.testing.assert_allclose([value, loss], total, 1e-6)
        np.testing.assert_allclose(gradient, slope, 1e-4, 1e-6)
    value, gradient, _ = found["loss"][0]
    np.testing.assert_allclose(found["blocks"][0], value, 1e-6)
    np.testing.assert_allclose(found["blocks"][1], gradient, 1e-4, 1e-6)
    for value, gradient in found["lone"]:
        assert value == 0 and not np.any(gradient)
    for ours, theirs in zip(wanted, found["osme"], strict=True):
        for one, other in zip(ours, theirs, strict=True):
            np.testing.assert_allclose(one, other, 1e-5, 1e-6)
