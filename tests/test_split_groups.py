"""The division keeps groups whole, classes even, and nothing to chance."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st

from mamc_keras.data.sources import ImageSet
from mamc_keras.data.sources import open_source
from mamc_keras.data.splitting.split_groups import KEEP
from mamc_keras.data.splitting.split_groups import SPLITS
from mamc_keras.data.splitting.split_groups import split_by_group

FRACTIONS = st.sampled_from([0.0, 0.1, 0.2, 0.34, 0.5, 0.9])


def photos(labels):
    """Photos of the classes c0, c1... in folders that need not exist."""
    labels = np.asarray(labels)
    return ImageSet(
        [f"photos/c{label}/{i:04d}.jpg" for i, label in enumerate(labels)],
        labels,
        [f"c{label}" for label in range(labels.max() + 1)],
    )


@st.composite
def grouped(draw, mixed=True):
    """Labels and groups; a group is of one class unless `mixed`."""
    sizes = draw(st.lists(st.integers(1, 30), min_size=1, max_size=6))
    labels = np.repeat(np.arange(len(sizes)), sizes)
    number = st.integers(0, draw(st.integers(0, 40)))
    groups = np.array([draw(number) for _ in labels])
    if not mixed:
        groups = groups * len(sizes) + labels
    return labels, groups


@settings(max_examples=60, deadline=None)
@given(grouped(), FRACTIONS, FRACTIONS, st.integers(0, 3), st.randoms())
def test_a_group_is_whole_and_nothing_depends_on_the_order(
    data, validation, test, seed, random
):
    labels, groups = data
    images = photos(labels)
    splits = split_by_group(images, groups, validation, test, seed)
    assert splits.shape == labels.shape and set(splits) <= {0, 1, 2}
    for group in set(groups.tolist()):
        assert len(set(splits[groups == group])) == 1
    # A class keeps two photos for training if it has them.
    for label in range(labels.max() + 1):
        count = np.sum(labels == label)
        assert np.sum(splits[labels == label] == 0) >= min(KEEP, count)
    # Shuffled photos and other numbers for the same groups.
    order = list(range(len(labels)))
    random.shuffle(order)
    again = split_by_group(
        images.take(order), 7 - 3 * groups[order], validation, test, seed
    )
    np.testing.assert_array_equal(again, splits[order])


@settings(max_examples=60, deadline=None)
@given(grouped(mixed=False), FRACTIONS, st.integers(0, 3))
def test_shares_are_within_one_group(data, test, seed):
    labels, groups = data
    splits = split_by_group(photos(labels), groups, 0, test, seed)
    assert not np.any(splits == 1)
    largest = np.bincount(groups).max()
    for label in range(labels.max() + 1):
        count = np.sum(labels == label)
        moved = np.sum(splits[labels == label] == 2)
        share = test * count
        most = np.bincount(groups[labels == label]).max()
        assert moved < share + most or moved == 0
        assert moved >= min(share - largest, count - KEEP - most)


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("fractions", [(0.1, 0.2), (0.3, 0.5), (0, 0.1)])
@pytest.mark.parametrize(
    "sizes", [[1, 2, 3, 4, 5, 7, 12, 40, 3, 3, 3, 4, 4], [2] * 30 + [4] * 20]
)
def test_single_photos_are_divided_as_open_source_does(
    tmp_path, sizes, fractions, seed
):
    for label, size in enumerate(sizes):
        (tmp_path / f"c{label}").mkdir()
        for i in range(size):
            (tmp_path / f"c{label}" / f"{i}.jpg").touch()
    images = open_source(tmp_path, 0, 0)["train"]
    splits = split_by_group(images, np.arange(len(images)), *fractions, seed)
    wanted = open_source(tmp_path, *fractions, seed)
    for number, name in enumerate(SPLITS):
        found = images.take(splits == number)
        assert found.paths == wanted[name].paths


def test_small_classes():
    sizes = np.array([1, 2, 3, 3, 3, 3, 3, 4, 5])
    labels = np.repeat(np.arange(len(sizes)), sizes)
    splits = split_by_group(photos(labels), np.arange(len(labels)), 0.3, 0.4)
    counts = np.array(
        [np.bincount(splits[labels == c], minlength=3) for c in range(9)]
    )
    assert counts[:2].tolist() == [[1, 0, 0], [2, 0, 0]]
    assert counts[2:7].tolist() == [[2, 0, 1]] * 5  # Test before validation.
    assert np.all(counts[:, 0] >= np.minimum(sizes, 2))


def test_pairs_of_photos_in_small_classes_give_the_right_total():
    labels = np.repeat(np.arange(200), 4)
    groups = np.arange(800) // 2
    splits = split_by_group(photos(labels), groups, 0.1, 0.2)
    moved = np.bincount(splits)
    assert abs(moved[2] - 160) <= 2 and abs(moved[1] - 64) <= 2


def test_a_large_group_takes_nothing_from_other_classes():
    # Films of 60 and 40 pictures, and twenty classes of ten single photos.
    labels = np.concatenate([np.zeros(100, int), 1 + np.arange(200) // 10])
    groups = np.where(labels == 0, np.arange(300) < 60, np.arange(300))
    overshoot = []
    for seed in range(20):
        splits = split_by_group(photos(labels), groups, 0, 0.3, seed)
        overshoot.append(np.sum(splits[:100] == 2) - 30)
        counts = np.bincount(labels[splits == 2])[1:]
        # At most one class makes up for it, and not by its whole share.
        assert np.all(counts >= 2) and sum(counts == 3) >= 18
    assert max(overshoot) >= 30


def test_groups_of_any_size_come_into_the_test_equally_often():
    # Five photos of a burst and five single ones in each class.
    labels = np.repeat(np.arange(400), 30)
    place = np.arange(12000) % 30
    groups = labels * 100 + np.where(place < 3, 0, place)
    splits = split_by_group(photos(labels), groups, 0, 0.2)
    bursts = splits[place == 0] == 2
    assert 0.12 < bursts.mean() < 0.28


def test_groups_of_several_classes_are_even_in_each_class():
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(40), rng.integers(40, 70, 40))
    chances = rng.dirichlet([2, 2, 2, 2], 40)  # Some are mostly one class.
    labels = np.array([rng.choice(4, p=chances[g]) for g in groups])
    splits = split_by_group(photos(labels), groups, 0.1, 0.2)
    for label in range(4):
        shares = np.bincount(splits[labels == label]) / sum(labels == label)
        assert abs(shares[2] - 0.2) < 0.06 and abs(shares[1] - 0.08) < 0.06


def test_a_photo_with_two_labels_is_for_training():
    labels = np.repeat([0, 1], 20)
    groups = np.arange(40)
    groups[20] = groups[0]
    for seed in range(10):
        splits = split_by_group(photos(labels), groups, 0.1, 0.2, seed)
        assert splits[0] == splits[20] == 0


def test_one_more_photo_hardly_moves_the_others():
    labels = np.repeat(np.arange(5), 40)
    images = photos(labels)
    groups = np.arange(200)
    before = split_by_group(images.take(range(1, 200)), groups[1:])
    after = split_by_group(images, groups)[1:]
    assert np.sum(before != after) <= 3


def test_seed_chooses_and_fractions_are_checked():
    images = photos(np.repeat([0, 1], 50))
    first, second = (
        split_by_group(images, np.arange(100), seed=seed) for seed in (0, 1)
    )
    assert np.any(first != second)
    for fractions in ((-0.1, 0.2), (0.1, 1.0), (float("nan"), 0)):
        with pytest.raises(ValueError, match="_fraction.*less than 1"):
            split_by_group(images, np.arange(100), *fractions)
