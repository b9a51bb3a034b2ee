"""Two classifiers on the same photos: McNemar, tables and pictures."""

import csv
import math

import numpy as np
import pytest
from PIL import Image

from mamc_keras.evaluation import compare
from mamc_keras.evaluation.predictions import Predictions

NAMES = ["a", "b", "c"]


def table(labels, answers, names=NAMES, sure=3.0):
    logits = sure * np.eye(len(names))[answers]
    paths = [f"{i}.jpg" for i in range(len(labels))]
    embeddings = np.ones((len(labels), 1, 2))
    return Predictions(paths, labels, logits, embeddings, names)


def naive_mcnemar(b, c):
    """Two-sided exact test: all splits at most as likely as this one."""
    n = b + c
    chances = [math.comb(n, k) / 2**n for k in range(n + 1)]
    return sum(p for p in chances if p <= chances[b] * (1 + 1e-9))


@pytest.mark.parametrize("seed", range(4))
def test_counts_and_p_value_equal_loops(seed):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 3, 80)
    first = np.where(rng.random(80) < 0.8, labels, rng.integers(0, 3, 80))
    second = np.where(rng.random(80) < 0.5, first, rng.integers(0, 3, 80))
    found = compare.compare(table(labels, first), table(labels, second))
    counts = {"both": 0, "first": 0, "second": 0, "neither": 0}
    for label, one, other in zip(labels, first, second, strict=True):
        if one == label:
            counts["both" if other == label else "first"] += 1
        else:
            counts["second" if other == label else "neither"] += 1
    assert found["both_right"] == counts["both"]
    assert found["only_first"] == counts["first"]
    assert found["only_second"] == counts["second"]
    assert found["neither"] == counts["neither"]
    assert found["other_answer"] == (first != second).sum()
    expected = naive_mcnemar(counts["first"], counts["second"])
    assert found["p_value"] == pytest.approx(expected)
    gap = (counts["first"] - counts["second"]) / 80
    assert found["difference"] == pytest.approx(gap)
    assert found["difference"] == pytest.approx(
        found["top1"] - found["top1_against"]
    )
    assert found["difference_low"] <= gap <= found["difference_high"]


def test_photos_that_both_get_right_do_not_matter():
    def p_value(more):
        labels = [0] * (10 + more)
        first = [0] * (10 + more)
        second = [1] * 9 + [0] * (1 + more)
        return compare.compare(table(labels, first), table(labels, second))[
            "p_value"
        ]

    assert p_value(0) == p_value(500) == pytest.approx(2 / 2**9)
    same = table([0, 1], [0, 2])
    assert compare.compare(same, same)["p_value"] == 1


def test_classes_in_another_order_are_the_same_classes():
    labels = np.array([0, 1, 2, 1])
    first = table(labels, [0, 1, 2, 2])
    names = ["c", "a", "b"]
    number = np.array([1, 2, 0])
    second = table(number[labels], number[[0, 1, 1, 2]], names)
    found = compare.compare(first, second)
    assert found["both_right"] == 2 and found["only_first"] == 1
    assert found["neither"] == 1 and found["other_answer"] == 1


def test_other_photos_cannot_be_compared():
    first = table([0, 1], [0, 1])
    for second in (
        table([0], [0]),
        table([0, 2], [0, 1]),
        Predictions(
            ["x", "y"], [0, 1], np.eye(3)[:2], np.ones((2, 1, 1)), NAMES
        ),
    ):
        with pytest.raises(ValueError, match="same photos.*Received.*Evaluate"):
            compare.compare(first, second)


def test_differences_as_csv_and_picture(tmp_path):
    labels = [0, 1, 2, 0, 1]
    first, second = (
        table(labels, [0, 1, 0, 1, 0]),
        table(labels, [0, 2, 2, 2, 0]),
    )
    compare.write_differences(tmp_path / "d.csv", first, second)
    with (tmp_path / "d.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [(r["path"], r["right"]) for r in rows] == [
        ("1.jpg", "first"),
        ("2.jpg", "second"),
        ("3.jpg", "neither"),
    ]
    assert rows[0]["answer"] == "b" and rows[0]["answer_against"] == "c"
    share = math.exp(3) / (math.exp(3) + 2)
    assert float(rows[0]["probability"]) == pytest.approx(share, abs=1e-6)
    read = []

    def photo(path):
        read.append(path)
        return np.random.default_rng(0).integers(0, 255, (9, 12, 3), np.uint8)

    out = tmp_path / "d.png"
    assert compare.differences_figure(out, first, second, photo)
    assert sorted(read) == ["1.jpg", "2.jpg"]
    with Image.open(out) as picture:
        assert picture.size[0] > 600
    out.unlink()
    assert not compare.differences_figure(out, first, first, photo)
    assert not out.exists()
