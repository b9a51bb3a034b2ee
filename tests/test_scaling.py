"""Bytes that replicas exchange, and what a large batch costs."""

import csv
import json
import subprocess
import sys
from pathlib import Path

import pytest
import scaling_tables
from scaling_tables import Machine

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
COUNT = """
import json, scaling
scaling.split_cpu(3)
print(json.dumps([scaling.count(3, 7, 2, 16), scaling.count(2, 8, 3, 4)]))
"""


@pytest.mark.slow
def test_a_step_exchanges_what_the_formula_says():
    # In a process of its own: devices are split before anything runs.
    done = subprocess.run(
        [sys.executable, "-c", COUNT],
        cwd=BENCHMARKS,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    first, second = json.loads(done.stdout.splitlines()[-1])
    # B P D numbers of four bytes, with seven images over three replicas too.
    assert first["gathered"] == first["returned"] == 7 * 2 * 16 * 4
    assert second["gathered"] == second["returned"] == 8 * 3 * 4 * 4
    for row in (first, second):
        assert row["weights"] == row["expected_weights"]
        assert row["gathered"] == row["expected_embeddings"]
        assert 8 * row["images"] <= row["rest"] <= 8 * row["images"] + 16


def test_projection_by_hand():
    machine = Machine(
        per_replica=2,
        attentions=3,
        size=5,
        near=100.0,
        far=10.0,
        accelerators=4,
        hop=1.0,
    )
    # 2 x 4 images of 15 numbers: 3/4 of 4 bytes, and twice 3/4 for the sum.
    sent, seconds = scaling_tables.exchange(machine, 4, 4, 4)
    assert sent == 120 * (3 + 6) and seconds == pytest.approx(10.8 + 9)
    sent, seconds = scaling_tables.exchange(machine, 4, 4, 5)
    assert sent == pytest.approx(150 * 12 * 4 / 5)
    assert seconds == pytest.approx(144 + 12)  # the slow link, four hops
    # 6 anchors against 30 embeddings.
    machine = Machine(per_replica=2, attentions=3, size=5, flops=1, memory=1)
    loss = scaling_tables.loss_seconds(machine, 5)
    assert loss == 8 * 6 * 30 * 5 + 4 * machine.passes * 6 * 30


def test_tables_of_the_measured_rows():
    files = ("scaling.csv", "large_batches.csv")
    for name in files:
        if not (BENCHMARKS / "results" / name).exists():
            pytest.skip(f"{name} has not been measured on this version")
    with (BENCHMARKS / "results" / files[0]).open(newline="") as stream:
        measured = list(csv.DictReader(stream))
    lines = scaling_tables.scaling_table(measured).splitlines()
    assert len(lines) == 2 + 5
    # 512 x 32 images of 2 x 512 numbers, 12 bytes of each, 511/512 of them.
    sent = 16384 * 1024 * 12 * 511 / 512 / 1e6
    assert f"| {sent:.1f} |" in lines[5]
    assert len(scaling_tables.communication().splitlines()) == 2 + len(measured)
    assert "| 4,096 | 4 | blocks, unknown size |" in (
        scaling_tables.large_batches()
    )


@pytest.mark.slow
def test_blocks_bound_the_memory(tmp_path):
    # 4,096 rows, a matrix of 67 MB; blocks of 1 MB.
    peaks = {}
    for form, batch_size, xla in (
        ("direct", "known", "0"),
        ("blocks", "known", "0"),
        ("blocks", "unknown", "0"),
        ("blocks", "unknown", "1"),
    ):
        out = tmp_path / f"{form}-{batch_size}-{xla}.csv"
        command = [sys.executable, str(BENCHMARKS / "large_batches.py")]
        command += ["--repeats", "1", "--bound", str(2**20), "--out", str(out)]
        command += ["--one", "2048", "2", form, batch_size, xla]
        subprocess.run(command, check=True, capture_output=True)
        with out.open(newline="") as stream:
            (row,) = csv.DictReader(stream)
        peaks[form, batch_size, xla] = int(row["peak_mb"]), float(row["loss"])
    whole, loss = peaks.pop(("direct", "known", "0"))
    for peak, value in peaks.values():
        assert peak < 0.6 * whole
        assert value == pytest.approx(loss, rel=1e-5)
