import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st

from mamc_keras.data.n_pairs import NPairPlan

SOLAR_CELLS = np.repeat([0, 1, 2, 3], [537, 281, 836, 344])


@st.composite
def plans(draw, smallest_class=1):
    """A plan for some classes of some sizes, in any order and numbering."""
    sizes = draw(
        st.lists(st.integers(smallest_class, 25), min_size=2, max_size=12)
    )
    names = draw(
        st.lists(
            st.integers(-1000, 10**12),
            min_size=len(sizes),
            max_size=len(sizes),
            unique=True,
        )
    )
    labels = np.repeat(np.array(names, np.int64), sizes)
    labels = np.random.default_rng(draw(st.integers(0, 99))).permutation(labels)
    plan = NPairPlan(
        labels,
        classes_per_batch=draw(st.integers(2, 14)),
        images_per_class=draw(st.integers(2, 5)),
        seed=draw(st.integers(0, 9)),
    )
    # As if the epoch were too long to be planned at once.
    plan._window_steps = draw(st.sampled_from([1, 2, 3, 7, 10**6]))
    return labels, plan


def copy(labels, plan):
    """A plan of the same arguments that has planned nothing yet."""
    other = NPairPlan(
        labels, plan.classes_per_batch, plan.images_per_class, plan._seed
    )
    other._window_steps = plan._window_steps
    return other


def groups(plan, batches):
    """Batches as (steps, classes, images of a class)."""
    shape = (-1, plan.classes_per_batch, plan.images_per_class)
    return batches.reshape(shape)


@settings(max_examples=150, deadline=None)
@given(plans(), st.integers(0, 50))
def test_shows_every_image_and_keeps_its_shape(case, epoch):
    labels, plan = case
    batches = plan.batches(epoch)
    assert batches.dtype == np.int64
    assert batches.shape == (plan.steps_per_epoch, plan.batch_size)
    assert set(batches.ravel()) == set(range(len(labels)))


@settings(max_examples=150, deadline=None)
@given(plans(), st.integers(0, 50))
def test_classes_of_a_batch_are_distinct(case, epoch):
    labels, plan = case
    classes = labels[groups(plan, plan.batches(epoch))]
    assert np.all(classes == classes[:, :, :1])
    for row in classes[:, :, 0]:
        assert len(set(row)) == plan.classes_per_batch


@settings(max_examples=150, deadline=None)
@given(plans(), st.integers(0, 50))
def test_images_of_a_group_are_distinct_where_the_class_has_them(case, epoch):
    labels, plan = case
    sizes = dict(zip(*np.unique(labels, return_counts=True), strict=True))
    for group in groups(plan, plan.batches(epoch)).reshape(
        -1, plan.images_per_class
    ):
        expected = min(sizes[labels[group[0]]], plan.images_per_class)
        assert len(set(group)) == expected


@settings(max_examples=60, deadline=None)
@given(plans(), st.integers(0, 50))
def test_depends_on_seed_and_epoch_alone(case, epoch):
    labels, plan = case
    again = copy(labels, plan)
    again.batches(epoch + 1)
    np.testing.assert_array_equal(plan.batches(epoch), again.batches(epoch))


@settings(max_examples=150, deadline=None)
@given(plans(), st.integers(0, 50), st.data())
def test_goes_on_in_the_middle_of_an_epoch(case, epoch, data):
    labels, plan = case
    whole = plan.batches(epoch)
    step = data.draw(st.integers(0, plan.steps_per_epoch))
    stop = data.draw(st.integers(step, plan.steps_per_epoch))
    resumed = copy(labels, plan)
    np.testing.assert_array_equal(resumed.batches(epoch, step), whole[step:])
    rest = list(copy(labels, plan).iter_batches(epoch, step))
    assert len(rest) == len(whole) - step
    for batch, expected in zip(rest, whole[step:], strict=True):
        assert batch.dtype == np.int64
        np.testing.assert_array_equal(batch, expected)
    # In any order, on a plan that has done other things.
    resumed.batches(epoch + 1, 0, 1)
    part = resumed.batches(epoch, step, stop)
    np.testing.assert_array_equal(part, whole[step:stop])
    np.testing.assert_array_equal(resumed.batches(epoch), whole)


def test_what_is_done_to_batches_does_not_reach_the_plan():
    plan = NPairPlan(np.repeat(np.arange(6), 10), 3, 2)
    before = plan.batches(0)
    plan.batches(0)[:] = -1
    next(plan.iter_batches(0))[:] = -1
    np.testing.assert_array_equal(plan.batches(0), before)


@settings(max_examples=100, deadline=None)
@given(plans(smallest_class=5))
def test_repeats_only_what_fills_groups_and_batches(case):
    labels, plan = case
    m = plan.images_per_class
    sizes = np.unique(labels, return_counts=True)[1]
    num_groups = -(-sizes // m)
    steps = max(
        -(-num_groups.sum() // plan.classes_per_batch), num_groups.max()
    )
    assert plan.steps_per_epoch == steps
    # A class that comes up `turns` times passes over its images, and only the
    # last group of a pass shows images again.
    counts = np.bincount(plan.batches(0).ravel(), minlength=len(labels))
    for label, size in zip(np.unique(labels), sizes, strict=True):
        of_class = counts[labels == label]
        turns = of_class.sum() // m
        passes = turns // -(-size // m)
        again = np.maximum(of_class - passes, 0).sum()
        assert of_class.min() >= passes
        assert again <= turns * m - passes * size


def test_every_image_exactly_once_when_the_numbers_fit():
    labels = np.tile(np.arange(12), 6)
    plan = NPairPlan(labels, 4, 3)
    assert plan.rules == ()
    assert sorted(plan.batches(5).ravel()) == list(range(72))


def test_epochs_and_seeds_differ():
    labels = np.repeat(np.arange(20), 10)
    plan = NPairPlan(labels, 5, 2)
    assert not np.array_equal(plan.batches(0), plan.batches(1))
    other = NPairPlan(labels, 5, 2, seed=1)
    assert not np.array_equal(plan.batches(0), other.batches(0))


def test_partners_change_between_epochs():
    plan = NPairPlan(np.repeat(np.arange(20), 10), 5, 2)
    pairs = [
        {tuple(sorted(pair)) for pair in plan.batches(epoch).reshape(-1, 2)}
        for epoch in (0, 1)
    ]
    # 100 pairs out of 20 x 45: about 11 in common by chance.
    assert len(pairs[0] & pairs[1]) < 30


@pytest.mark.parametrize("window_steps", [10**6, 45])
@pytest.mark.parametrize("num_classes, per_batch", [(200, 10), (12, 10)])
def test_any_two_classes_meet_as_often_as_by_chance(
    num_classes, per_batch, window_steps
):
    images = 30 if num_classes > 100 else 300
    labels = np.repeat(np.arange(num_classes), images)
    meetings = np.zeros((num_classes, num_classes))
    plan = NPairPlan(labels, per_batch, 2)
    plan._window_steps = window_steps
    for epoch in range(8):
        classes = labels[plan.batches(epoch)[:, ::2]]
        present = np.zeros((len(classes), num_classes))
        np.put_along_axis(present, classes, 1, axis=1)
        meetings += present.T @ present
    counts = meetings[np.triu_indices(num_classes, 1)]
    chance = per_batch * (per_batch - 1) / (num_classes * (num_classes - 1))
    expected = 8 * plan.steps_per_epoch * chance
    assert counts.mean() == pytest.approx(expected)
    # Independent draws have a variance of expected x (1 - chance). Dealing
    # in turn without mixing has 20 times as much.
    assert counts.var() < 1.3 * expected * (1 - chance)


def test_uneven_classes_share_the_repeats_by_size():
    # 40, 20 and four times 10 groups of 2 in batches of 3: 40 batches, so
    # 120 places for 100 groups. The first class is full, the others get 1.33
    # times their groups.
    labels = np.repeat(np.arange(6), [80, 40, 20, 20, 20, 20])
    plan = NPairPlan(labels, 3, 2)
    assert plan.steps_per_epoch == 40
    shares = np.mean(
        [
            np.bincount(labels[plan.batches(e)[:, ::2]].ravel())
            for e in range(9)
        ],
        axis=0,
    )
    np.testing.assert_allclose(
        shares, np.array([40, 26.7, 13.3, 13.3, 13.3, 13.3]), atol=0.7
    )


@pytest.mark.parametrize("images_per_class, steps", [(2, 418), (4, 209)])
def test_four_uneven_classes_in_every_batch(images_per_class, steps):
    plan = NPairPlan(SOLAR_CELLS, 4, images_per_class)
    batches = plan.batches(0)
    assert batches.shape == (steps, 4 * images_per_class)
    assert set(batches.ravel()) == set(range(len(SOLAR_CELLS)))
    assert any("largest class (label 2, 836 images)" in r for r in plan.rules)
    assert f"{4 * 836 - 1998} repeats" in plan.rules[-1]


def test_lowers_the_number_of_classes_and_says_so():
    plan = NPairPlan(SOLAR_CELLS, 16, 2)
    assert plan.classes_per_batch == 4
    assert plan.batch_size == 8
    assert plan.rules[0] == (
        "There are 4 classes, so a batch holds 4 classes instead of 16."
    )


def test_a_lone_image_is_its_own_partner_and_said_so():
    labels = np.array([0, 0, 0, 0, 1, 1, 1, 1, 7])
    plan = NPairPlan(labels, 2, 2)
    assert [8, 8] in plan.batches(0).reshape(-1, 2).tolist()
    assert any("1 of 3 classes have fewer than 2" in r for r in plan.rules)


@pytest.mark.parametrize(
    "images, images_per_class, group_sizes",
    [
        # What a class shows in one pass: different images of each group.
        (1, 2, [1]),
        (1, 4, [1]),
        (2, 2, [2]),
        (2, 4, [2]),
        (5, 2, [2, 2, 2]),
        (5, 4, [4, 4]),
        (5, 5, [5]),
    ],
)
def test_few_images_of_every_class(images, images_per_class, group_sizes):
    labels = np.tile(np.arange(12), images)
    plan = NPairPlan(labels, 4, images_per_class)
    assert plan.steps_per_epoch == 3 * len(group_sizes)
    lone = images < images_per_class
    assert (lone and "12 of 12 classes have fewer" in plan.rules[0]) or (
        not lone and not any("fewer" in rule for rule in plan.rules)
    )
    for epoch in range(3):
        batches = plan.batches(epoch)
        assert sorted(set(batches.ravel())) == list(range(12 * images))
        shown = {}
        for group in batches.reshape(-1, images_per_class):
            shown.setdefault(labels[group[0]], []).append(group)
        for class_groups in shown.values():
            assert [len(set(g)) for g in class_groups] == group_sizes
            times = np.bincount(np.concatenate(class_groups))
            times = times[times > 0]
            # Evenly: no image twice more than another.
            assert len(times) == images
            assert np.ptp(times) <= 1


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.sampled_from([1, 2, 5, 40]), min_size=2, max_size=12),
    st.integers(2, 6),
    st.integers(2, 5),
    st.integers(0, 20),
)
def test_few_images_beside_many(sizes, classes_per_batch, m, epoch):
    labels = np.repeat(np.arange(len(sizes)), sizes)
    plan = NPairPlan(labels, classes_per_batch, m)
    batches = plan.batches(epoch)
    turns = np.bincount(labels[batches[:, ::m]].ravel())
    shown = np.bincount(batches.ravel(), minlength=len(labels))
    for label, size in enumerate(sizes):
        groups = -(-size // m)
        assert groups <= turns[label] <= plan.steps_per_epoch
        # Every image once in each pass that was finished.
        times = shown[labels == label]
        assert times.min() >= turns[label] // groups
        # Twice in a pass only what fills the last group.
        extra = np.maximum(times - -(-turns[label] // groups), 0).sum()
        assert extra <= -(-turns[label] // groups) * (groups * m - size)
    small = sum(size < m for size in sizes)
    said = [rule for rule in plan.rules if "have fewer than" in rule]
    assert len(said) == bool(small)
    if small:
        assert said[0].startswith(f"{small} of {len(sizes)} classes")
    # The epoch is as long as the images or the largest class need.
    groups = -(-np.array(sizes) // m)
    needed = -(-groups.sum() // plan.classes_per_batch)
    assert plan.steps_per_epoch == max(needed, groups.max())


def test_the_first_batch_needs_one_window_only():
    # 18,750 batches. Seconds and megabytes: benchmarks/planner.py.
    plan = NPairPlan(np.repeat(np.arange(10_000), 60), 16, 2)
    arranged = []
    arrange = plan._arrange
    plan._arrange = lambda table, rng: (
        arranged.append(len(table)) or arrange(table, rng)
    )
    first = next(plan.iter_batches(0))
    assert len(arranged) == 1
    assert arranged[0] * 16 <= 2**16
    late = plan.batches(0, plan.steps_per_epoch - 1)
    assert len(arranged) == 2
    assert len(set(first) | set(late[0])) > 32


@pytest.mark.parametrize(
    "arguments, message",
    [
        (
            ([0, 0, 1, 1], 2, 1),
            "MAMC needs at least two images of a class in a batch. Received: "
            "images_per_class=1. Set it to 2 or more.",
        ),
        (([0, 0, 1, 1], 1, 2), "Received: classes_per_batch=1"),
        (([0, 0, 0, 0], 2, 2), "at least two classes. Received: 4 labels"),
        (([], 2, 2), "Received: 0 labels"),
        (([0.0, 1.0], 2, 2), "one integer per image. Received: shape"),
        (([[0, 1]], 2, 2), "one integer per image. Received: shape"),
        (([0, 0, 1, 1], 2, 2, -1), "Received: seed=-1"),
    ],
)
def test_says_what_is_wrong(arguments, message):
    labels = np.array(arguments[0], dtype=None if arguments[0] else np.int64)
    with pytest.raises(ValueError, match=message.replace(".", r"\.")):
        NPairPlan(labels, *arguments[1:])


def test_says_what_is_wrong_with_a_number_of_images():
    labels = np.broadcast_to(np.int64(0), (2**31,))
    with pytest.raises(ValueError, match="less than 2,147,483,648 images"):
        NPairPlan(labels, 2, 2)


@pytest.mark.parametrize(
    "epoch, start, stop", [(-1, 0, 1), (0, -1, 2), (0, 2, 1), (0, 0, 7)]
)
def test_says_what_is_wrong_with_steps(epoch, start, stop):
    plan = NPairPlan([0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1], 2, 2)
    match = f"steps 0 to 4. Received: epoch={epoch}, start_step={start}"
    with pytest.raises(ValueError, match=match):
        plan.batches(epoch, start, stop)
    with pytest.raises(ValueError, match="steps 0 to 4"):
        plan.iter_batches(0, 5)
