"""What the table of the branches' maps says, on made-up results."""

import diversity_tables
import markdown
import pytest
from results import append_row


@pytest.fixture
def results(tmp_path, monkeypatch):
    monkeypatch.setattr(markdown, "HERE", tmp_path)
    file = tmp_path / "results/diversity.csv"
    for arm in ("osme_sasc", "osme_mamc"):
        for seed, same_peak in enumerate((0.9, 0.7)):
            for branch, part, value, chance in (
                (-1, "(likeness)", 0.95, same_peak),
                (0, "(box)", 0.8, 0.5),
                (1, "(box)", 0.6, 0.5),
                (0, "beak", 0.4, 0.1),
                (1, "beak", 0.2, 0.1),
                (0, "tail", 0.3, 0.3),
                (0, "nape", 0.3, 0.2),
            ):
                row = {"arm": arm, "seed": seed, "map": "attention"}
                row |= {"branch": branch, "part": part}
                append_row(file, {**row, "value": value, "chance": chance})


def test_likeness_boxes_and_parts_above_chance(results):
    sasc, shipped = diversity_tables.diversity().splitlines()[2:]
    assert sasc == (
        "| OSME + SASC | attention | 2 | 0.950 ± 0.000 | 80 ± 14 "
        "| 70 ± 0 (50 ± 0) | beak 30 (10), nape 30 (20) |"
    )
    assert "as shipped" in shipped


def test_arms_come_in_the_order_asked_for(results):
    lines = diversity_tables.with_and_without().splitlines()[2:]
    assert len(lines) == 1
    assert "as shipped" in lines[0]
