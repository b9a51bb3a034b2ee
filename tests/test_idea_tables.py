"""What the tables of the search say, on made-up results."""

import idea_tables
import markdown
import numpy as np
import pytest
from ablation import bits
from idea_list import IDEAS
from results import append_row


@pytest.fixture
def add(tmp_path, monkeypatch):
    monkeypatch.setattr(markdown, "HERE", tmp_path)

    def row(
        data,
        idea,
        right,
        seed=0,
        epochs=6,
        nll=0.5,
        recall=0.5,
        map_at_r=0.5,
    ):
        values = {
            "set": data,
            "idea": idea,
            "seed": seed,
            "epochs": epochs,
            "top1": np.mean(right),
            "nll": nll,
            "recall@1": recall,
            "map@r": map_at_r,
            "same_peak": 0.9 if idea == "neck" else "nan",
            "images": len(right),
            "right": bits(np.array(right, bool)),
        }
        append_row(tmp_path / "results/ideas.csv", values)

    return row


def test_every_idea_has_words():
    assert list(idea_tables.WORDS) == list(IDEAS)


def test_an_idea_is_compared_with_the_shipped_default(add):
    add("cups", "shipped", [1, 0, 0, 0])
    add("cups", "neck", [1, 1, 0, 0], nll=0.3, recall=0.4, map_at_r=0.6)
    add("cars", "shipped", [1, 1])
    add("cars", "p_3", [1, 0])
    neck, p_3 = idea_tables.ideas().splitlines()[-2:]
    # A set that an idea has not seen counts for nothing.
    assert neck.startswith(f"| {idea_tables.WORDS['neck']} | 1 | - | +25.0 |")
    assert neck.endswith(" | -10.0 | +10.0 | -0.20 | 90 |")
    assert p_3.startswith("| P = 3 | 1 | -50.0 | - | -50.0 (-100.0 to +0.0) |")
    assert p_3.endswith(" | +0.0 | +0.0 | +0.00 | - |")


def test_all_photos_count_the_same(add):
    for data, photos in (("cars", 8), ("cups", 2)):
        add(data, "shipped", np.zeros(photos))
        add(data, "neck", np.full(photos, data == "cups"))
    line = idea_tables.ideas().splitlines()[-1]
    assert "| +0.0 | +100.0 | +20.0 (" in line


def test_screening_and_final_do_not_mix(add):
    add("cups", "shipped", [1, 0], epochs=12)
    add("cups", "neck", [0, 0], epochs=12)
    add("cups", "neck", [1, 1], seed=1, epochs=12)  # no shipped row beside it
    add("cups", "shipped", [1, 0])
    add("cups", "d_128", [1, 1])
    assert "D = 128" not in idea_tables.finalists()
    final = idea_tables.finalists().splitlines()[-1]
    assert final.startswith(f"| {idea_tables.WORDS['neck']} | 1 | -50.0 |")
    assert "D = 128 | 1 | +50.0" in idea_tables.ideas()


def test_seeds_pair_over_all_sets(add):
    for data, seeds in (("cars", (0, 1)), ("cups", (0, 2))):
        for seed in seeds:
            add(data, "shipped", [0, 0], seed=seed)
            add(data, "neck", [seed > 0, seed > 0], seed=seed)
    line = idea_tables.ideas().splitlines()[-1]
    # Only seed 0 is everywhere, and there nothing changes.
    assert "| 1 | +0.0 | +0.0 | +0.0 (" in line
