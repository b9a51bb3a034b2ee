"""The occlusion check, against loops and against a planted answer."""

import numpy as np
import pytest

from mamc_keras.evaluation import localization
from mamc_keras.evaluation import occlusion
from mamc_keras.evaluation.occlusion import hide
from mamc_keras.evaluation.occlusion import moved
from mamc_keras.evaluation.occlusion import top_cells


def naive_hide(photo, cells):
    height, width, _ = photo.shape
    h, w = cells.shape
    mean = [photo[..., c].astype(float).mean() for c in range(3)]
    shown = photo.astype(float).copy()
    for y in range(height):
        for x in range(width):
            if cells[int(y * h / height), int(x * w / width)]:
                shown[y, x] = mean
    return shown


def test_hides_what_a_loop_hides():
    rng = np.random.default_rng(0)
    photos = rng.integers(0, 256, (3, 20, 30, 3))
    cells = rng.random((3, 4, 7)) < 0.4
    found = hide(photos, cells)
    for photo, mask, shown in zip(photos, cells, found, strict=True):
        np.testing.assert_allclose(shown, naive_hide(photo, mask), atol=1e-3)
    np.testing.assert_array_equal(hide(photos, cells & False), photos)


@pytest.mark.parametrize("share, count", [(0.1, 5), (0.5, 24), (0.001, 1)])
def test_top_cells_are_the_highest(share, count):
    maps = np.random.default_rng(1).normal(size=(4, 7, 7))
    found = top_cells(maps, share)
    for values, mask in zip(maps, found, strict=True):
        assert mask.sum() == count
        assert values[mask].min() > values[~mask].max()
    # Of equal cells the first, and never all of them.
    even = top_cells(np.zeros((1, 2, 2)), 0.99)
    assert even.tolist() == [[[True, True], [True, False]]]


@pytest.mark.parametrize(
    "share, maps",
    [
        (0, np.ones((1, 2, 2))),
        (1, np.ones((1, 2, 2))),
        (0.1, np.ones((2, 2))),
        (0.1, np.full((1, 2, 2), np.nan)),
    ],
)
def test_what_cannot_be_hidden(share, maps):
    with pytest.raises(ValueError, match="hides a part.*Received: .*Give"):
        top_cells(maps, share)


def test_other_places_have_the_same_shape():
    cells = np.zeros((2, 4, 5), bool)
    cells[:, 1, 1:3] = cells[:, 2, 1] = True
    found = moved(cells, 19, seed=3)
    assert found.shape == (19, 2, 4, 5)
    assert (found.sum(axis=(2, 3)) == 3).all()
    rolls = {
        np.roll(cells[0], (r, c), (0, 1)).tobytes()
        for r in range(4)
        for c in range(5)
    }
    for i in range(2):
        places = {mask.tobytes() for mask in found[:, i]}
        # Every other place once; the place itself never.
        assert places == rolls - {cells[i].tobytes()}
    assert len(moved(cells, 100)) == 19
    np.testing.assert_array_equal(moved(cells, 4, 7), moved(cells, 4, 7))
    assert (moved(cells, 4, 7) != moved(cells, 4, 8)).any()


def planted(photos):
    """Only the upper left quarter decides, by its brightness."""
    light = photos[:, :8, :8].mean(axis=(1, 2, 3)) / 64
    return np.stack([light, np.full(len(light), 1.0), -light], axis=1)


def test_drops_equal_plain_loops():
    rng = np.random.default_rng(2)
    photos = rng.integers(0, 256, (5, 16, 16, 3)).astype(np.uint8)
    photos[:, :8, :8] //= 2
    photos[:, :8, :8] += 128
    maps = rng.normal(size=(5, 4, 4))
    found = occlusion.occlusion(planted, photos, maps, 0.2, rounds=3, seed=5)
    cells = top_cells(maps, 0.2)
    others = moved(cells, 3, 5)

    def score(photo, best):
        (row,) = planted(np.asarray(photo)[None]).tolist()
        total = sum(np.exp(value) for value in row)
        lead = row[best] - max(v for k, v in enumerate(row) if k != best)
        return lead, np.exp(row[best]) / total

    for i in range(5):
        (row,) = planted(photos[i : i + 1])
        best = row.argmax()
        whole = score(photos[i], best)
        hidden = score(naive_hide(photos[i], cells[i]), best)
        random = np.mean(
            [score(naive_hide(photos[i], m[i]), best) for m in others],
            axis=0,
        )
        for k, name in enumerate(("margin", "probability")):
            assert found[name][i] == pytest.approx(whole[k], rel=1e-4)
            drop = found[f"{name}_drop"][i]
            assert drop == pytest.approx(whole[k] - hidden[k], abs=1e-4)
            drop = found[f"{name}_drop_random"][i]
            assert drop == pytest.approx(whole[k] - random[k], abs=1e-4)
        (row,) = planted(naive_hide(photos[i], cells[i])[None])
        assert found["answer_hidden"][i] == row.argmax()
    np.testing.assert_array_equal(found["hidden"], cells)


def test_the_lead_is_negative_when_another_class_takes_over():
    """Against a rival of the whole photo it would have grown: 2 - 1."""
    margin, _ = occlusion.scores([[2.0, 1.0, 5.0]], np.array([0]))
    assert margin.tolist() == [-3.0]
    margin, _ = occlusion.scores([[-1.0, -2.0, -4.0]], np.array([0]))
    assert margin.tolist() == [1.0]


def test_a_true_map_drops_more_than_chance_and_a_false_one_less():
    photos = np.full((6, 16, 16, 3), 40, np.uint8)
    photos[:, :8, :8] = 230
    true = np.zeros((6, 4, 4))
    true[:, :2, :2] = 1
    found = occlusion.occlusion(planted, photos, true, 0.25)
    assert (found["margin_drop"] > 2 * found["margin_drop_random"]).all()
    assert (found["probability_drop"] > found["probability_drop_random"]).all()
    false = np.zeros((6, 4, 4))
    false[:, 2:, 2:] = 1
    found = occlusion.occlusion(planted, photos, false, 0.25)
    assert (abs(found["margin_drop"]) < found["margin_drop_random"]).all()


# === Energy in the box ===


def test_energy_inside_equals_fine_loops():
    rng = np.random.default_rng(4)
    maps = rng.normal(size=(6, 2, 4, 5))
    corners = np.sort(rng.integers(0, 21, (6, 2, 2)) / 20, axis=1)
    boxes = corners.reshape(6, 4)
    found = localization.energy_inside(maps, boxes)
    for i in range(6):
        left, top, right, bottom = boxes[i]
        for p in range(2):
            inside = total = 0.0
            for row in range(20):
                for column in range(20):
                    value = max(maps[i, p, row // 5, column // 4], 0.0)
                    x, y = (column + 0.5) / 20, (row + 0.5) / 20
                    total += value
                    if left < x < right and top < y < bottom:
                        inside += value
            assert found[i, p] == pytest.approx(inside / total)
    whole = np.array([[0.0, 0, 1, 1]] * 6)
    np.testing.assert_allclose(localization.energy_inside(maps, whole), 1)
    nothing = localization.energy_inside(-np.abs(maps), whole)
    np.testing.assert_array_equal(nothing, 0)
    # A bird that was cut at the edge: the box reaches out of the view.
    beyond = np.array([[-1.0, -1, 2, 2]] * 6)
    np.testing.assert_allclose(localization.energy_inside(maps, beyond), 1)
