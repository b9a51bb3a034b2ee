"""Measures of parts of the photos."""

import numpy as np
import pytest
from PIL import Image

from mamc_keras.evaluation import slices
from mamc_keras.evaluation.predictions import Predictions
from mamc_keras.evaluation.slices_plot import slices_figure


@pytest.fixture
def table(tmp_path):
    rng = np.random.default_rng(0)
    paths = []
    for i in range(24):
        path = tmp_path / f"{i}.png"
        Image.new("RGB", (20 + i, 60)).save(path)
        paths.append(str(path))
    labels = np.arange(24) % 3
    logits = rng.normal(size=(24, 3))
    logits[np.arange(24), labels] += 1
    return Predictions(paths, labels, logits, np.ones((24, 1, 2)), "abc")


def test_rows_equal_plain_loops(table):
    groups = {"even": ["yes" if i % 2 else "no" for i in range(24)]}
    groups["all alike"] = ["x"] * 24  # Says nothing that top-1 does not.
    rows = slices.slice_rows(table, groups)
    assert [(r["slice"], r["value"]) for r in rows] == [
        ("even", "no"),
        ("even", "yes"),
    ]
    for odd, row in enumerate(rows):
        hits, loss, by_class = 0, 0.0, {}
        for i in range(odd, 24, 2):
            powers = np.exp(table.logits[i].astype(float))
            right = int(powers.argmax() == table.labels[i])
            hits += right
            loss -= np.log(powers[table.labels[i]] / powers.sum())
            by_class.setdefault(table.labels[i], []).append(right)
        assert row["images"] == 12 and row["top1"] == hits / 12
        assert row["nll"] == pytest.approx(loss / 12)
        macro = np.mean([np.mean(v) for v in by_class.values()])
        assert row["macro"] == pytest.approx(macro)
        # Wilson, 1927.
        z, n, p = 1.959964, 12, hits / 12
        middle = (p + z * z / (2 * n)) / (1 + z * z / n)
        spread = z * np.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
        spread /= 1 + z * z / n
        ends = (row["top1_low"], row["top1_high"])
        assert ends == pytest.approx((middle - spread, middle + spread))


def test_quarters_are_even_and_never_divide_equal_values():
    names = slices.quarters(range(1, 9), "px")
    assert names[0] == names[1] == "1 to 2 px" and names[7] == "7 to 8 px"
    assert len(set(names)) == 4
    names = slices.quarters([5, 5, 5, 5, 5, 5, 9])
    assert set(names) == {"5", "9"}
    assert set(slices.quarters([3, 3, 3])) == {"3"}


def test_by_class_size_and_photo_size(table):
    names = slices.class_size_slice(table, [10, 200, 30])
    assert names[0] == "10 training photos" and names[1].startswith("200")
    sizes = slices.photo_size_slice(table)
    assert sizes[0] == "20 to 25 px" and sizes[23] == "38 to 43 px"


def test_columns_of_a_csv(table, tmp_path):
    lines = ["path,camera,light"]
    lines += [f"{i}.png,{'old' if i < 9 else 'new'},{i / 8}" for i in range(20)]
    lines += ["20.png,,5", f"{tmp_path / '21.png'},new,6", "other.png,new,7"]
    (tmp_path / "s.csv").write_text("\n".join(lines), encoding="utf-8-sig")
    found = slices.read_slices(tmp_path / "s.csv", table)
    assert found["camera"][:9] == ["old"] * 9 and found["camera"][9] == "new"
    assert found["camera"][20:22] == ["(empty)", "new"]
    assert found["camera"][22] == slices.UNLISTED
    # 22 different numbers: quarters of those that are there.
    assert found["light"][0] == "0 to 0.625" and len(set(found["light"])) == 5
    rows = slices.slice_rows(table, found)
    assert sum(r["images"] for r in rows if r["slice"] == "light") == 24
    slices_figure(tmp_path / "s.png", rows, 0.5)
    with Image.open(tmp_path / "s.png") as picture:
        assert picture.size[1] > 200
    with pytest.raises(ValueError, match="0 rows"):
        slices_figure(tmp_path / "s.png", [], 0.5)


@pytest.mark.parametrize(
    "contents, message",
    [
        (b"file,camera\n0.png,old\n", "column 'path'"),
        (b"path\n0.png\n", "column 'path'"),
        (b"", "column 'path'"),
        (b"path,camera\nelsewhere.png,old\n", "none of these photos"),
        (b"\xff\xfe\x00path", "no CSV"),
    ],
)
def test_bad_slices(contents, message, table, tmp_path):
    (tmp_path / "s.csv").write_bytes(contents)
    with pytest.raises(ValueError, match=f"{message}.*Received: "):
        slices.read_slices(tmp_path / "s.csv", table)
