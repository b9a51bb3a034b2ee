"""Nearest training photos by branch, against loops."""

import numpy as np
import pytest

from mamc_keras.evaluation.neighbours import nearest
from mamc_keras.evaluation.predictions import Predictions


def gallery(n=9, branches=2, seed=0):
    rng = np.random.default_rng(seed)
    return Predictions(
        [f"train/{i}.jpg" for i in range(n)],
        rng.integers(0, 3, n),
        np.zeros((n, 3)),
        rng.normal(size=(n, branches, 5)),
        ["a", "b", "c"],
    )


def test_nearest_equals_plain_loops():
    table = gallery()
    asked = np.random.default_rng(1).normal(size=(4, 2, 5))
    index, cosines = nearest(asked, table, 3)
    assert index.shape == cosines.shape == (4, 2, 3)
    for i in range(4):
        for p in range(2):
            found = []
            for j in range(9):
                a = asked[i, p]
                b = table.embeddings[j, p].astype(float)
                cosine = sum(a * b) / (sum(a * a) * sum(b * b)) ** 0.5
                found.append((-cosine, j))
            best = sorted(found)[:3]
            assert index[i, p].tolist() == [j for _, j in best]
            assert cosines[i, p] == pytest.approx([-c for c, _ in best])
    # Branches have neighbours of their own.
    assert (index[:, 0] != index[:, 1]).any()


def test_a_photo_is_not_its_own_neighbour(tmp_path, monkeypatch):
    table = gallery()
    monkeypatch.chdir(tmp_path)
    own = str(tmp_path / "train" / "4.jpg")  # The same file, absolute.
    asked = table.embeddings[[4]]
    assert nearest(asked, table, 1)[0].ravel().tolist() == [4, 4]
    index, cosines = nearest(asked, table, 9, [own])
    assert not (index[..., :8] == 4).any()
    assert (cosines[..., 8] == -np.inf).all()


@pytest.mark.parametrize(
    "shape, count",
    [((1, 3, 5), 1), ((1, 2, 4), 1), ((2, 5), 1), ((1, 2, 5), 0)],
)
def test_embeddings_of_another_model(shape, count):
    with pytest.raises(ValueError, match="one model.*Received: .*Give"):
        nearest(np.ones(shape), gallery(), count)
