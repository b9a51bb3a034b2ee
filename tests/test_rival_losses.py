"""The rivals of the ablation against plain loops, value and slope."""

import math

import keras
import numpy as np
import pytest
import rival_losses
import tensorflow as tf


def joined(embeddings):
    """One unit vector an image, each branch brought to length 1 first."""
    rows = []
    for branches in embeddings:
        row = []
        for f in branches:
            length = math.sqrt(sum(v * v for v in f))
            row += [v / length for v in f]
        length = math.sqrt(sum(v * v for v in row))
        rows.append([v / length for v in row])
    return rows


def dot(a, b):
    return sum(x * y for x, y in zip(a, b, strict=True))


def distance(a, b):
    return math.sqrt(sum((x - y) ** 2 for x, y in zip(a, b, strict=True)))


def positives(labels, i):
    return [j for j in range(len(labels)) if labels[j] == labels[i] and j != i]


def negatives(labels, i):
    return [j for j in range(len(labels)) if labels[j] != labels[i]]


def mean(values):
    return sum(values) / len(values) if values else 0.0


def contrastive(x, labels):
    pairs = range(len(x))
    near = [
        distance(x[i], x[j]) ** 2 for i in pairs for j in positives(labels, i)
    ]
    far = [
        max(0.0, 1.0 - distance(x[i], x[j])) ** 2
        for i in pairs
        for j in negatives(labels, i)
    ]
    return 0.5 * (mean(near) + mean(far))


def triplet(x, labels):
    values = []
    for i in range(len(x)):
        mine, others = positives(labels, i), negatives(labels, i)
        if mine and others:
            furthest = max(distance(x[i], x[j]) for j in mine)
            nearest = min(distance(x[i], x[j]) for j in others)
            values.append(max(0.0, 0.2 + furthest - nearest))
    return mean(values)


def over_pairs(x, labels, exponent):
    return mean(
        [
            math.log(
                1
                + sum(
                    math.exp(exponent(x[i], x[j], x[k]))
                    for k in negatives(labels, i)
                )
            )
            for i in range(len(x))
            for j in positives(labels, i)
            if negatives(labels, i)
        ]
    )


def npair(x, labels):
    return over_pairs(
        x, labels, lambda a, p, n: 10 * dot(a, n) - 10 * dot(a, p)
    )


def angular(x, labels):
    return over_pairs(
        x, labels, lambda a, p, n: 4 * dot(a, n) + 4 * dot(p, n) - 4 * dot(a, p)
    )


def supcon(x, labels):
    values = []
    for i in range(len(x)):
        others = [j for j in range(len(x)) if j != i]
        mine = positives(labels, i)
        if mine:
            total = sum(math.exp(10 * dot(x[i], x[j])) for j in others)
            values.append(
                mean([math.log(total) - 10 * dot(x[i], x[j]) for j in mine])
            )
    return mean(values)


LOOPS = {
    "contrastive": contrastive,
    "triplet": triplet,
    "npair": npair,
    "angular": angular,
    "supcon": supcon,
}
LABELS = {
    "pairs": [0, 0, 1, 1, 2, 2],
    "uneven, one lone": [4, 1, 4, 1, 4, 7],
    "one class": [3, 3, 3],
    "all lone": [0, 1, 2],
    "one image": [5],
}


@pytest.mark.parametrize("name", LOOPS)
@pytest.mark.parametrize("case", LABELS)
@pytest.mark.parametrize("num_attentions", [1, 2])
def test_value_and_slope_are_those_of_the_loops(name, case, num_attentions):
    labels = LABELS[case]
    rng = np.random.default_rng(0)
    embeddings = rng.normal(size=(len(labels), num_attentions, 3))
    loss = rival_losses.RIVALS[name](dtype="float64")
    inputs = tf.constant(embeddings)
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        value = loss(np.array(labels), inputs)
    slopes = tape.gradient(value, inputs).numpy()
    loops = LOOPS[name]
    assert float(value) == pytest.approx(
        loops(joined(embeddings), labels), rel=1e-6, abs=1e-9
    )
    assert np.isfinite(slopes).all()
    step = 1e-5
    for place in [(0, 0, 0), (len(labels) - 1, num_attentions - 1, 2)]:
        sides = []
        for move in (-step, step):
            moved = embeddings.copy()
            moved[place] += move
            sides.append(loops(joined(moved), labels))
        slope = (sides[1] - sides[0]) / (2 * step)
        assert slopes[place] == pytest.approx(slope, rel=1e-4, abs=1e-6)


@pytest.mark.parametrize("name", ["npair", "triplet", "supcon"])
def test_an_anchor_that_is_its_own_positive_is_noticed(name, monkeypatch):
    labels = LABELS["uneven, one lone"]
    embeddings = np.random.default_rng(0).normal(size=(len(labels), 1, 3))

    def with_itself(labels):
        same = tf.equal(labels[:, None], labels[None, :])
        return same, ~same

    right = LOOPS[name](joined(embeddings), labels)
    monkeypatch.setattr(rival_losses, "pair_masks", with_itself)
    loss = rival_losses.RIVALS[name](dtype="float64")
    wrong = float(loss(np.array(labels), tf.constant(embeddings)))
    assert wrong != pytest.approx(right, rel=1e-3)


def test_equal_images_have_a_finite_slope():
    embeddings = tf.ones((4, 2, 3))
    for rival in rival_losses.RIVALS.values():
        with tf.GradientTape() as tape:
            tape.watch(embeddings)
            value = rival()(np.array([0, 0, 1, 1]), embeddings)
        assert np.isfinite(tape.gradient(value, embeddings)).all()


def test_a_rival_survives_saving():
    for rival in rival_losses.RIVALS.values():
        config = keras.losses.serialize(rival())
        assert isinstance(keras.losses.deserialize(config), rival)
