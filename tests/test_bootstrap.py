import numpy as np
import pytest

from mamc_keras.evaluation.bootstrap import paired_difference


def test_difference_and_interval_of_one_run():
    """Against the normal interval of a paired difference."""
    rng = np.random.default_rng(0)
    first = rng.random(2000) < 0.8
    second = np.where(rng.random(2000) < 0.1, ~first, first)
    each = first.astype(float) - second
    error = each.std() / np.sqrt(2000)
    middle, low, high = paired_difference(first, second)
    assert middle == pytest.approx(each.mean())
    assert low == pytest.approx(middle - 1.96 * error, abs=0.2 * error)
    assert high == pytest.approx(middle + 1.96 * error, abs=0.2 * error)
    # Unpaired it would be wider by far: pairing is what the test is for.
    unpaired = np.sqrt((first.var() + second.var()) / 2000)
    assert high - low < 0.7 * 2 * 1.96 * unpaired


def test_runs_are_resampled_too():
    """Runs that differ a lot widen the interval, with the photos the same."""
    photos = np.arange(1000)
    second = np.zeros((4, 1000), bool)
    alike = np.stack([photos < 100] * 4)
    uneven = np.stack([photos < n for n in (0, 50, 150, 200)])
    a, b = paired_difference(alike, second), paired_difference(uneven, second)
    assert a[0] == b[0] == 0.1
    assert b[2] - b[1] > 2 * (a[2] - a[1])


def test_same_answers_differ_by_nothing():
    right = np.random.default_rng(1).random((3, 50)) < 0.5
    assert paired_difference(right, right) == (0.0, 0.0, 0.0)


def test_seed_decides():
    rng = np.random.default_rng(2)
    a, b = rng.random((2, 3, 997)) < 0.6
    assert paired_difference(a, b) == paired_difference(a, b)
    assert paired_difference(a, b) != paired_difference(a, b, seed=1)


@pytest.mark.parametrize("shape", [(4,), (2, 5), (0,)])
def test_shapes_that_do_not_pair(shape):
    with pytest.raises(ValueError, match="Received: shapes"):
        paired_difference(np.zeros(shape, bool), np.zeros(0, bool))
