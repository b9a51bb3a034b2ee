"""Benchmarks go on where they stopped."""

from results import append_row
from results import missing


def test_only_missing_rows_are_made(tmp_path):
    file = tmp_path / "results/rows.csv"
    append_row(file, {"set": "cups", "seed": 1, "top1": 0.5})
    made = []
    for key in missing(file, seed=range(2), set=["cups", "cars"]):
        made.append(tuple(key.values()))
        append_row(file, {"set": key["set"], "seed": key["seed"], "top1": 1})
    assert made == [(0, "cups"), (0, "cars"), (1, "cars")]
    assert not list(missing(file, seed=range(2), set=["cups", "cars"]))
