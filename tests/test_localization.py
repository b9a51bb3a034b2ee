import numpy as np
import pytest
import tensorflow as tf

from mamc_keras.data.decode import resize_image
from mamc_keras.evaluation import localization


@pytest.mark.parametrize("crop", [True, False])
@pytest.mark.parametrize("size", [(120, 200), (200, 120), (160, 160)])
@pytest.mark.parametrize("view", [(64, 64), (48, 96)])
def test_to_view_follows_the_pixels(size, view, crop):
    """A white spot in a photo is where the points say it is in the view."""
    x, y = 0.55 * size[1], 0.4 * size[0]
    rows, columns = np.mgrid[: size[0], : size[1]] + 0.5
    spot = np.hypot(rows - y, columns - x) < 12
    photo = np.repeat(spot[..., None] * 255, 3, axis=-1).astype("uint8")
    shown = resize_image(tf.constant(photo), view, crop).numpy()[..., 0] / 255.0
    rows, columns = np.mgrid[: view[0], : view[1]] + 0.5
    seen = [
        (columns * shown).sum() / shown.sum() / view[1],
        (rows * shown).sum() / shown.sum() / view[0],
    ]
    point = localization.to_view([x, y], size, view, crop)
    np.testing.assert_allclose(point, seen, atol=0.02)


def test_peaks_and_likeness_against_loops():
    maps = np.random.default_rng(0).random((6, 3, 4, 5))
    found = localization.peaks(maps)
    together, same = [], []
    for i in range(6):
        for p in range(3):
            r, c = np.unravel_index(maps[i, p].argmax(), (4, 5))
            expected = ((c + 0.5) / 5, (r + 0.5) / 4)
            assert found[i, p] == pytest.approx(expected)
            for q in range(p):
                a, b = maps[i, p].ravel(), maps[i, q].ravel()
                together.append(np.corrcoef(a, b)[0, 1])
                same.append(a.argmax() == b.argmax())
    correlation, share = localization.likeness(maps)
    assert correlation == pytest.approx(np.mean(together))
    assert share == pytest.approx(np.mean(same))
    twice = np.repeat(maps[:, :1], 2, axis=1)
    assert localization.likeness(twice) == pytest.approx((1.0, 1.0))
    with pytest.raises(ValueError, match="Received: maps of 1 branch"):
        localization.likeness(maps[:, :1])


def test_hit_rates_of_planted_attention():
    """Branch 0 finds part 0, branch 1 always points at the centre."""
    rng = np.random.default_rng(0)
    parts = rng.uniform(0, 1, (400, 3, 2))
    parts[:100, 0] = np.nan  # not visible
    parts[100:150, 1] = 1.2  # cropped away
    points = np.full((400, 2, 2), 0.5)
    points[:, 0] = np.nan_to_num(parts[:, 0], nan=0.5)
    hits, chance = localization.hit_rates(points, parts, 0.1)
    assert hits[0, 0] == 1.0
    # A disc of radius 0.1 around the centre covers pi / 100 of the view.
    assert hits[1] == pytest.approx([np.pi / 100] * 3, abs=0.03)
    # The same place over other photos is as good: no better than chance.
    assert chance[1] == pytest.approx(hits[1], abs=1e-12)
    assert chance[0, 0] < 0.06


def test_chance_pairs_nobody_with_itself():
    parts = np.stack([np.full((1, 2), x) for x in np.linspace(0, 1, 9)])
    hits, chance = localization.hit_rates(parts, parts, 0.01)
    assert hits.item() == 1.0 and chance.item() == 0.0


def test_inside_boxes():
    boxes = np.array([[0.2, 0.2, 0.6, 0.8]] * 2)
    points = np.array([[[0.3, 0.3], [0.7, 0.3]], [[0.6, 0.8], [0.3, 0.1]]])
    inside = localization.inside_boxes(points, boxes)
    assert inside.tolist() == [[True, False], [True, False]]
