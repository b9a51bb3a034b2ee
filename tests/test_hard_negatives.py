import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st

from mamc_keras.data.batches.class_similarity import class_prototypes
from mamc_keras.data.batches.class_similarity import similarity_from_confusion
from mamc_keras.data.batches.class_similarity import similarity_from_prototypes
from mamc_keras.data.batches.hard_negatives import HardNegativePlan
from mamc_keras.data.n_pairs import NPairPlan
from mamc_keras.feature_cache import feature_batches


def families(num_classes, size):
    """Similarity of classes that resemble their family and no one else."""
    family = np.arange(num_classes) // size
    return (family[:, None] == family[None, :]).astype(np.float32)


def meetings(labels, plan, epochs=4):
    """How often any two classes come in one batch: `(classes, classes)`."""
    num_classes = labels.max() + 1
    counts = np.zeros((num_classes, num_classes))
    for epoch in range(epochs):
        for batch in plan.batches(epoch):
            classes = labels[batch[:: plan.images_per_class]]
            counts[np.ix_(classes, classes)] += 1
    np.fill_diagonal(counts, 0)
    return counts


def similar_part(labels, plan, similarity):
    """Part of the pairs of classes in a batch that are of one family."""
    counts = meetings(labels, plan)
    return counts[similarity > 0].sum() / counts.sum()


@st.composite
def plans(draw):
    """A hard plan, and the plain plan of the same arguments."""
    sizes = draw(st.lists(st.integers(1, 25), min_size=2, max_size=12))
    # Some labels of the matrix have no images.
    names = draw(
        st.lists(
            st.integers(0, 15),
            min_size=len(sizes),
            max_size=len(sizes),
            unique=True,
        )
    )
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    labels = rng.permutation(np.repeat(np.array(names), sizes))
    similarity = rng.integers(-1, 4, (16, 16))
    arguments = (labels, draw(st.integers(2, 14)), draw(st.integers(2, 5)))
    share = draw(st.sampled_from([0, 0.25, 0.5, 1]))
    seed = draw(st.integers(0, 9))
    hard = HardNegativePlan(*arguments, similarity, share, seed)
    plain = NPairPlan(*arguments, seed)
    hard._window_steps = plain._window_steps = draw(
        st.sampled_from([2, 7, 10**6])
    )
    return labels, hard, plain, share


@settings(max_examples=200, deadline=None)
@given(plans(), st.integers(0, 50))
def test_keeps_all_that_the_plain_plan_promises(case, epoch):
    labels, hard, plain, share = case
    for name in (
        "classes_per_batch",
        "images_per_class",
        "batch_size",
        "num_images",
        "steps_per_epoch",
        "rules",
    ):
        assert getattr(hard, name) == getattr(plain, name)
    batches, expected = hard.batches(epoch), plain.batches(epoch)
    assert batches.shape == expected.shape
    assert set(batches.ravel()) == set(range(len(labels)))
    groups = batches.reshape(len(batches), -1, hard.images_per_class)
    assert np.all(labels[groups] == labels[groups[:, :, :1]])
    for row in labels[groups[:, :, 0]]:
        assert len(set(row)) == hard.classes_per_batch
    # The same images as often; in other company.
    np.testing.assert_array_equal(
        np.sort(batches, axis=None), np.sort(expected, axis=None)
    )
    # What was not to be chosen is where it was.
    kept = hard.classes_per_batch - round(share * (hard.classes_per_batch - 1))
    kept *= hard.images_per_class
    np.testing.assert_array_equal(
        labels[batches[:, :kept]], labels[expected[:, :kept]]
    )


@settings(max_examples=50, deadline=None)
@given(plans(), st.integers(0, 50), st.data())
def test_share_0_is_the_plain_plan_and_any_is_resumed(case, epoch, data):
    _, hard, plain, share = case
    whole = hard.batches(epoch)
    if share == 0:
        np.testing.assert_array_equal(whole, plain.batches(epoch))
    hard.batches(epoch + 1)
    step = data.draw(st.integers(0, hard.steps_per_epoch))
    np.testing.assert_array_equal(hard.batches(epoch, step), whole[step:])


def test_look_alikes_meet_more_often_the_greater_the_share():
    labels = np.repeat(np.arange(60), 20)
    similarity = families(60, 4)
    np.fill_diagonal(similarity, 0)
    parts = {
        share: similar_part(
            labels,
            HardNegativePlan(labels, 8, 2, similarity, share),
            similarity,
        )
        for share in (0, 0.3, 0.6, 1)
    }
    # Of 59 other classes 3 are look-alikes. In a batch of 8 at most two
    # families of 4 meet, 6 of 28 pairs each.
    chance = 3 / 59
    assert parts[0] == pytest.approx(chance, rel=0.15)
    assert parts[0.3] > 2 * chance
    assert parts[0.6] > 1.5 * parts[0.3]
    assert parts[1] > 1.2 * parts[0.6]
    assert parts[1] > 0.85 * 12 / 28


def test_no_part_of_an_epoch_is_left_with_the_easy_batches():
    labels = np.repeat(np.arange(60), 40)
    similarity = families(60, 4)
    batches = HardNegativePlan(labels, 8, 2, similarity, 1.0).batches(0)
    family = labels[batches[:, ::2]] // 4
    alike = [(row[:, None] == row).sum() - 8 for row in family]
    quarters = [np.mean(part) for part in np.array_split(alike, 4)]
    assert max(quarters) < 1.15 * min(quarters)


def test_the_most_similar_come_first():
    # Classes on a line: nearer ones resemble more.
    labels = np.repeat(np.arange(50), 20)
    line = np.arange(50)
    similarity = 1 / (1 + abs(line[:, None] - line[None, :]))
    counts = meetings(labels, HardNegativePlan(labels, 5, 2, similarity, 1.0))
    near = np.mean([counts[c, c + 1] for c in range(49)])
    middle = np.mean([counts[c, c + 4] for c in range(46)])
    far = np.mean([counts[c, c + 20] for c in range(30)])
    assert near > 1.5 * middle > 3 * far


def test_equally_similar_classes_are_treated_alike():
    labels = np.repeat(np.arange(40), 20)
    same = np.ones((40, 40))
    counts = meetings(labels, HardNegativePlan(labels, 4, 2, same, 1.0), 12)
    # Nobody is preferred for a low number.
    sums = counts[:, :20].sum() / counts.sum()
    assert sums == pytest.approx(0.5, abs=0.03)


def test_what_resembles_nothing_stays_as_drawn():
    labels = np.repeat(np.arange(20), 10)
    for nothing in (np.zeros((20, 20)), -np.ones((20, 20)), np.eye(20)):
        hard = HardNegativePlan(labels, 4, 2, nothing, 1.0)
        plain = NPairPlan(labels, 4, 2)
        np.testing.assert_array_equal(hard.batches(3), plain.batches(3))


def test_training_batches_of_it():
    labels = np.repeat(np.arange(6), 4)
    plan = HardNegativePlan(labels, 3, 2, families(6, 2), 1.0)
    features = np.arange(24, dtype=np.float32).reshape(24, 1, 1, 1, 1)
    shown = [x for x, _ in feature_batches(features, labels, plan, 0, 1)]
    np.testing.assert_array_equal(
        np.reshape(shown, (plan.steps_per_epoch, -1)), plan.batches(0)
    )


def test_similarity_from_confusion():
    confusion = [[8, 2, 0], [1, 3, 0], [0, 0, 0]]
    expected = [[0, 0.225, 0], [0.225, 0, 0], [0, 0, 0]]
    np.testing.assert_allclose(similarity_from_confusion(confusion), expected)


def test_similarity_from_prototypes():
    prototypes = [[3.0, 0.0], [0.0, 2.0], [1.0, 1.0], [0.0, 0.0]]
    half = np.sqrt(0.5)
    expected = [
        [0, 0, half, 0],
        [0, 0, half, 0],
        [half, half, 0, 0],
        [0, 0, 0, 0],
    ]
    found = similarity_from_prototypes(prototypes)
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_class_prototypes_are_means():
    vectors = np.array([[1.0, 0.0], [3.0, 2.0], [5.0, 5.0]])
    found = class_prototypes(vectors, np.array([2, 2, 0]), 4)
    np.testing.assert_allclose(found, [[5, 5], [0, 0], [2, 1], [0, 0]])


@pytest.mark.parametrize(
    "similarity, share, message",
    [
        (np.zeros((4, 3)), 0.5, r"Received: shape \(4, 3\)"),
        (np.zeros(4), 0.5, r"Received: shape \(4,\)"),
        (np.full((4, 4), np.nan), 0.5, "Received: NaN or infinity"),
        (np.zeros((3, 3)), 0.5, "labels from 0 to 3 and a matrix of 3 rows"),
        (np.zeros((4, 4)), 1.5, "from 0 to 1. Received: share=1.5"),
        (np.zeros((4, 4)), -0.1, "Received: share=-0.1"),
    ],
)
def test_says_what_is_wrong(similarity, share, message):
    labels = np.repeat(np.arange(4), 4)
    with pytest.raises(ValueError, match=message):
        HardNegativePlan(labels, 2, 2, similarity, share)


def test_says_what_is_wrong_with_labels():
    with pytest.raises(ValueError, match="labels from -1 to 1 and a matrix"):
        HardNegativePlan(np.array([-1, -1, 1, 1]), 2, 2, np.zeros((4, 4)))


@pytest.mark.parametrize(
    "confusion", [[[1, 2]], [[1, -1], [0, 1]], [[np.nan, 0], [0, 1]], [1, 2]]
)
def test_says_what_is_wrong_with_a_confusion_matrix(confusion):
    with pytest.raises(ValueError, match="A confusion matrix counts photos"):
        similarity_from_confusion(confusion)


@pytest.mark.parametrize("prototypes", [[1.0, 2.0], [[np.inf, 1.0]]])
def test_says_what_is_wrong_with_prototypes(prototypes):
    with pytest.raises(ValueError, match="Prototypes are one vector"):
        similarity_from_prototypes(prototypes)
