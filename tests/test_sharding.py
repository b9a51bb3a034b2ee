import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st

from mamc_keras.data.batches.sharding import PlanShard
from mamc_keras.data.n_pairs import NPairPlan
from mamc_keras.feature_cache import feature_batches


@st.composite
def shards(draw):
    """A plan and all shards of it."""
    sizes = draw(st.lists(st.integers(1, 25), min_size=2, max_size=12))
    labels = np.repeat(np.arange(len(sizes)), sizes)
    plan = NPairPlan(
        labels,
        classes_per_batch=draw(st.integers(2, 12)),
        images_per_class=draw(st.integers(2, 5)),
        seed=draw(st.integers(0, 9)),
    )
    count = draw(st.integers(1, plan.classes_per_batch))
    return labels, plan, [PlanShard(plan, w, count) for w in range(count)]


@settings(max_examples=150, deadline=None)
@given(shards(), st.integers(0, 50), st.data())
def test_side_by_side_they_are_the_plan(case, epoch, data):
    labels, plan, parts = case
    step = data.draw(st.integers(0, plan.steps_per_epoch))
    whole = plan.batches(epoch)[step:]
    found = [part.batches(epoch, step) for part in parts]
    np.testing.assert_array_equal(np.concatenate(found, axis=1), whole)
    for part, batches in zip(parts, found, strict=True):
        assert batches.shape == (len(whole), part.batch_size)
        np.testing.assert_array_equal(whole[:, part.columns], batches)
        one_by_one = list(part.iter_batches(epoch, step))
        assert len(one_by_one) == len(batches)
        for one, batch in zip(one_by_one, batches, strict=True):
            np.testing.assert_array_equal(one, batch)


@settings(max_examples=150, deadline=None)
@given(shards())
def test_each_takes_whole_classes_and_a_fair_part(case):
    labels, plan, parts = case
    counts = [part.classes_per_batch for part in parts]
    assert sum(counts) == plan.classes_per_batch
    assert max(counts) - min(counts) <= 1
    if plan.classes_per_batch % len(parts) == 0:
        assert len(set(counts)) == 1
    for part in parts:
        assert part.batch_size == part.classes_per_batch * part.images_per_class
        assert part.steps_per_epoch == plan.steps_per_epoch
        assert part.num_images == len(labels)
        assert part.rules == plan.rules
        groups = part.batches(0).reshape(-1, part.images_per_class)
        assert np.all(labels[groups] == labels[groups[:, :1]])


def test_a_part_stands_where_a_plan_does():
    labels = np.repeat(np.arange(5), 4)
    part = PlanShard(NPairPlan(labels, 5, 2), 1, 2)
    assert part.classes_per_batch == 3
    features = np.arange(20, dtype=np.float32).reshape(20, 1, 1, 1, 1)
    shown = list(feature_batches(features, labels, part, 0, 2))
    expected = np.concatenate([part.batches(0), part.batches(1)])
    assert len(shown) == len(expected)
    for (x, y), index in zip(shown, expected, strict=True):
        np.testing.assert_array_equal(x.numpy().ravel(), index)
        np.testing.assert_array_equal(y.numpy(), labels[index])


@pytest.mark.parametrize("worker, count", [(-1, 2), (2, 2), (0, 0), (0, 4)])
def test_says_what_is_wrong(worker, count):
    plan = NPairPlan(np.repeat(np.arange(5), 4), 3, 2)
    match = f"Received: worker={worker}, num_workers={count}, and a plan with 3"
    with pytest.raises(ValueError, match=match):
        PlanShard(plan, worker, count)
