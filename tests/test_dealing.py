import numpy as np
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st

from mamc_keras.data.batches.class_images import sort_by_class
from mamc_keras.data.batches.dealing import deal


@st.composite
def deals(draw):
    """A deal of some shares that fit into some batches."""
    steps = draw(st.integers(1, 30))
    width = draw(st.integers(2, 8))
    shares, left = [], steps * width
    while left:
        share = draw(st.integers(1, min(left, steps)))
        shares.append(share)
        left -= share
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    window_steps = draw(st.integers(1, 31))
    shares = np.array(shares)
    dealt = deal(shares, steps, width, window_steps, rng)
    return shares, steps, width, window_steps, dealt


def dealt_in_turn(dealt, shares, steps, width):
    """All batches, dealt by hand like cards, as lists of (class, turn)."""
    cards = [
        (label, turn)
        for label in dealt.classes.tolist()
        for turn in range(shares[label])
    ]
    batches = [[] for _ in range(steps)]
    for place, card in enumerate(cards):
        batches[place % steps].append(card)
    assert {len(batch) for batch in batches} == {width}
    return batches


@settings(max_examples=150, deadline=None)
@given(deals())
def test_windows_are_a_deal_by_hand(case):
    shares, steps, width, window_steps, dealt = case
    expected = dealt_in_turn(dealt, shares, steps, width)
    count = len(dealt.residues)
    assert sorted(dealt.residues) == list(range(count))
    done = 0
    for number in range(count):
        table, turns = dealt.window(number)
        assert table.shape == turns.shape
        assert dealt.first_steps[number] == done
        assert len(table) <= window_steps
        for row, row_turns, cards in zip(
            table, turns, expected[dealt.residues[number] :: count], strict=True
        ):
            assert list(zip(row, row_turns, strict=True)) == cards
            assert len(set(row)) == width
        done += len(table)
    assert done == steps


@settings(max_examples=150, deadline=None)
@given(deals())
def test_a_class_is_spread_evenly_over_windows(case):
    shares, _, _, _, dealt = case
    counts = np.array(
        [
            np.bincount(dealt.window(number)[0].ravel(), minlength=len(shares))
            for number in range(len(dealt.residues))
        ]
    )
    np.testing.assert_array_equal(counts.sum(axis=0), shares)
    # Windows differ by one batch in length.
    assert np.ptp(counts, axis=0).max() <= 2


def test_a_rare_class_may_come_at_any_time():
    # 8 turns of each class and 100 windows of one batch.
    shares = np.full(100, 8)
    gaps = []
    for seed in range(5):
        rng = np.random.default_rng(seed)
        dealt = deal(shares, 100, 8, 1, rng)
        order = np.concatenate([dealt.window(n)[0] for n in range(100)])
        when = np.argsort(order.ravel(), kind="stable").reshape(100, 8) // 8
        gaps.append(np.ptp(when, axis=1).mean())
    # The range of 8 out of 100 in random places is 78 on average, of
    # neighbours 7.
    assert 70 < np.mean(gaps) < 86


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from([np.int8, np.uint8, np.int32, np.int64, np.uint64]),
    st.lists(st.integers(0, 5), min_size=1, max_size=60),
    st.integers(0, 99),
)
def test_sorts_any_integers_by_class(dtype, picks, seed):
    info = np.iinfo(dtype)
    names = np.random.default_rng(seed).integers(
        info.min, info.max, 4, dtype=dtype, endpoint=True
    )
    ends = np.array([info.min, info.max], dtype)
    names = np.concatenate([names, ends])
    labels = names[picks]
    classes = sort_by_class(labels)
    expected = np.argsort(labels, kind="stable")
    np.testing.assert_array_equal(classes.images, expected)
    unique, counts = np.unique(labels, return_counts=True)
    np.testing.assert_array_equal(labels[expected][classes.starts], unique)
    np.testing.assert_array_equal(classes.sizes, counts)


def test_every_order_of_a_class_is_equally_likely():
    classes = sort_by_class(np.array([0, 1, 0, 1, 0]))
    rng = np.random.default_rng(0)
    counts = {}
    for _ in range(1200):
        # Two passes over class 0 and one over class 1.
        turns = classes.shuffle(np.array([4, 1]), 2, rng)
        shown = tuple(turns.shuffled.tolist())
        for part in (shown[:3], shown[3:6]):
            assert set(part) == {0, 2, 4}
            counts[part] = counts.get(part, 0) + 1
        assert set(shown[6:]) == {1, 3}
    # 2,400 draws of 6 orders: 400 each, give or take 18.
    assert len(counts) == 6
    assert max(abs(count - 400) for count in counts.values()) < 80
