"""What the ablation runs and what its tables say, on made-up results."""

import dataclasses

import ablation
import ablation_rows
import ablation_tables
import difference_tables
import markdown
import numpy as np
import pytest
from ablation import ARMS
from ablation import HEAD_RATES
from ablation import bits
from ablation_figure import draw
from goal_table import goals
from results import append_row

from mamc_keras import Recipe


def row(data, arm, seed, right, **values):
    return {
        "set": data,
        "arm": arm,
        "seed": seed,
        "images": len(right),
        "right": bits(np.array(right, bool)),
        "weights": 4_000_000,
        "seconds": 100,
        "branch_cosine": 0.5,
        **dict.fromkeys(("top1", "macro", "ece"), np.mean(right)),
        **dict.fromkeys(("recall@1", "map@r", "nll"), 0.5),
        **values,
    }


@pytest.fixture
def results(tmp_path, monkeypatch):
    monkeypatch.setattr(markdown, "HERE", tmp_path)
    return tmp_path / "results/ablation.csv"


@pytest.mark.parametrize("arm", ARMS)
def test_every_arm_is_a_recipe_with_a_name(arm):
    dataclasses.replace(Recipe(), **ARMS[arm])
    assert arm in ablation_rows.NAMES
    assert set(HEAD_RATES) <= set(ARMS)


def test_right_answers_survive_the_csv(results):
    rng = np.random.default_rng(0)
    answers = rng.random((2, 13)) < 0.5  # 13 does not fill whole bytes.
    for seed in (1, 0):
        append_row(results, row("cups", "osme", seed, answers[seed]))
    group = ablation_rows.by_arm()["cups", "osme"]
    np.testing.assert_array_equal(ablation_rows.right(group), answers)


def test_difference_is_shipped_minus_rival_on_common_seeds(results):
    append_row(results, row("cups", "osme_mamc", 0, [1, 1, 1, 0], nll=0.2))
    append_row(results, row("cups", "plain_softmax", 0, [1, 0, 0, 0]))
    append_row(results, row("cups", "plain_softmax", 1, [1, 1, 1, 1]))
    line = difference_tables.differences().splitlines()[-1]
    assert line.startswith("| cups | plain softmax | 1 | +50.0 (")
    assert line.endswith("| +0.0 | +0.0 | -0.30 |")
    # A rival is no variant of the shipped arm, and the other way round.
    assert "cups" not in difference_tables.conventions()
    append_row(results, row("cups", "mamc_no_gates", 0, [1, 1, 1, 1]))
    line = difference_tables.conventions().splitlines()[-1]
    assert line.startswith("| cups | P projections + MAMC | 1 | -25.0 (")
    assert "P projections" not in difference_tables.differences()


def test_tables_hold_mean_and_spread(results):
    for seed, right in enumerate(([1, 1, 1, 0], [1, 0, 0, 0])):
        append_row(results, row("cups", "osme_mamc", seed, right))
    append_row(results, row("cups", "osme", 0, right))
    assert "| 2 | 50.0 ± 35.4 |" in ablation_tables.arms()
    assert "OSME, no MAMC" in ablation_tables.arms()
    assert "OSME, no MAMC" not in ablation_tables.shipped()


def test_figure_has_a_dot_a_seed_and_the_mean(results):
    for seed, right in enumerate(([1, 1, 1, 0], [1, 0, 0, 0])):
        append_row(results, row("cups", "osme_mamc", seed, right))
        append_row(results, row("cars", "plain_softmax", seed, right))
    figure = draw(ablation_rows.by_arm())
    cars, cups = figure.axes[:2]
    assert [axis.get_title() for axis in (cars, cups)] == ["cars", "cups"]
    dots, mean = cups.lines
    # The shipped arm is on its own line in both panels.
    np.testing.assert_array_equal(dots.get_xydata(), [[75, 1], [25, 1]])
    np.testing.assert_array_equal(mean.get_xydata(), [[50, 1]])


def test_cost_is_the_median_ratio_within_a_turn(results):
    file = results.with_name("step_time.csv")
    times = {"plain_softmax": (1, 2, 4), "osme_mamc": (1.1, 3, 8)}
    # The same head as the shipped arm, and another.
    times |= dict.fromkeys(("osme_sasc", "mamc_no_gates"), times["osme_mamc"])
    for arm, seconds in times.items():
        for turn, value in enumerate(seconds):
            cost = {"arm": arm, "turn": turn, "seconds": value}
            append_row(file, {**cost, "weights": 4_000_000})
    phone = {"arm": "osme_mamc", "file": "model_int8.tflite"}
    append_row(
        results.with_name("mobile_costs.csv"), {**phone, "ratio_1_threads": 1.1}
    )
    made = ablation_tables.costs()
    assert "as shipped** | 4.0 | 1.50 | 1.10 |" in made
    assert "| plain softmax | 4.0 | 1.00 | - |" in made
    assert "| OSME + SASC | 4.0 | 1.50 | 1.10 |" in made
    assert "| P projections + MAMC | 4.0 | 1.50 | - |" in made


def test_fast_mode_stands_below_training_everything(results):
    append_row(results, row("cups", "osme_mamc", 0, [1, 0]))
    append_row(results, row("cups", "osme", 0, [1, 0]))
    append_row(
        results.with_name("whole.csv"), row("cups", "osme_mamc", 0, [1, 1])
    )
    lines = ablation_tables.whole().splitlines()[2:]
    shipped = ablation_rows.NAMES["osme_mamc"]
    assert [line.split(" | ")[1:5] for line in lines] == [
        [shipped, "everything", "1", "100.0"],
        [shipped, "fast", "1", "50.0"],
    ]
    assert [line.split(" | ")[-1][:6] for line in lines] == ["+50.0 ", "- |"]


def test_both_head_rates_of_the_plain_softmax(results):
    append_row(results, row("cups", "plain_softmax", 0, [1, 0], nll=0.7))
    earlier = {"set": "cups", "seed": 0, "top1": 0.75, "nll": 0.6}
    append_row(results.with_name("head_rate.csv"), earlier)
    line = ablation_tables.head_rate().splitlines()[-1]
    assert line == "| cups | 75.0 | 0.60 | 50.0 | 0.70 |"


def test_shipped_is_not_its_own_rival_with_everything_trained(results):
    file = results.with_name("whole.csv")
    append_row(file, row("cups", "osme_mamc", 0, [1, 1]))
    append_row(file, row("cups", "npair_one_branch", 0, [1, 0]))
    lines = difference_tables.whole_differences().splitlines()
    assert len(lines) == 3
    assert lines[-1].startswith(
        "| cups | one projection + SASC (N-pair) | 1 | +50.0"
    )


def test_goals_are_bold_where_they_are_reached(results):
    file = results.with_name("whole.csv")
    append_row(results, row("cups", "osme_mamc", 0, [1, 1, 1, 0], nll=0.3))
    append_row(results, row("cups", "plain_softmax", 0, [1, 0, 0, 0], nll=0.4))
    append_row(file, row("cups", "osme_mamc", 0, [1, 0, 0, 0], nll=0.4))
    append_row(file, row("cups", "npair_one_branch", 0, [1, 1, 0, 0]))
    head, _, top1, smoothed, one_branch, recall, _, nll = goals().splitlines()
    assert head.endswith("| cups, fast | cups, everything trained |")
    assert top1.endswith("| 2 | **+50.0** | - |")
    assert smoothed.endswith("| 2 | - | - |")
    assert one_branch.endswith("| 1 | - | -25.0 |")
    assert recall.endswith("| 5 | +0.0 | - |")
    assert nll.endswith("| 20 | **+25.0** | - |")


def test_another_rate_stands_beside_the_same_seeds(results):
    for seed, answers in enumerate(([1, 0, 0, 0], [1, 1, 1, 1])):
        append_row(results, row("cups", "osme", seed, answers, nll=0.7))
    file = results.with_name("ablation_0.0006.csv")
    append_row(file, row("cups", "osme", 0, [1, 1, 0, 0], nll=0.6))
    new, old = ablation_tables.rates().splitlines()[2:]
    assert new.startswith("| cups | OSME, no MAMC | 6e-4 | 1 | 50.0 |")
    assert "| +25.0 (" in new
    assert old.startswith("| cups | OSME, no MAMC | 3e-4 | 2 | 62.5 ± 53.0 |")


def test_the_shipped_arm_against_others_at_another_rate(results):
    append_row(results, row("cups", "osme_mamc", 0, [1, 0, 0, 0], nll=0.7))
    file = results.with_name("ablation_0.0006.csv")
    append_row(file, row("cups", "osme", 0, [1, 1, 1, 0], nll=0.6))
    (line,) = difference_tables.rate_differences().splitlines()[2:]
    assert line.startswith("| cups | 3e-4 | OSME, no MAMC | 1 | -50.0 (")
    assert line.endswith("| +0.10 |")
    append_row(file, row("cups", "osme_mamc", 0, [1, 1, 0, 0], nll=0.5))
    # At both rates, and not against itself.
    same, line = difference_tables.rate_differences().splitlines()[2:]
    assert same.startswith("| cups | 3e-4 | OSME, no MAMC | 1 | -50.0 (")
    assert line.startswith("| cups | 6e-4 | OSME, no MAMC | 1 | -25.0 (")
    assert line.endswith("| -0.10 |")


def test_other_arms_against_each_other(results):
    append_row(results, row("cups", "osme_mamc", 0, [1, 1, 1, 1]))
    append_row(results, row("cups", "osme", 0, [1, 1, 0, 0]))
    append_row(results, row("cups", "plain_softmax", 0, [1, 0, 0, 0]))
    (line,) = difference_tables.others().splitlines()[2:]
    assert line.startswith(
        "| cups | OSME, no MAMC | plain softmax | 1 | +25.0 ("
    )


@pytest.mark.parametrize(
    ("options", "name", "changes"),
    [
        ([], "ablation", {"fast": True}),
        (["--whole"], "whole", {"fast": False}),
        (
            ["--learning-rate", "6e-4"],
            "ablation_0.0006",
            {"fast": True, "learning_rate": 6e-4},
        ),
    ],
)
def test_each_way_of_training_has_rows_and_runs_of_its_own(
    tmp_path, monkeypatch, options, name, changes
):
    calls = []

    def measure(folder, arm, seed, runs, **given):
        calls.append((runs.name, given))
        return {"set": folder.name, "arm": arm, "seed": seed}

    monkeypatch.setattr(ablation, "RESULTS", tmp_path)
    monkeypatch.setattr(ablation, "measure", measure)
    command = ["ablation.py", "cups", "--arms", "osme", "--seeds", "1"]
    monkeypatch.setattr("sys.argv", command + options)
    ablation.main()
    ablation.main()  # The row is there: nothing is trained again.
    assert calls == [(name, changes)]
    assert (tmp_path / f"{name}.csv").exists()
