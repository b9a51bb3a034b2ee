"""Several replicas learn what one learns, or say in a sentence why not."""

import csv
import math
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import keras
import pytest
import tensorflow as tf
from small import encoder

from mamc_keras.devices import strategy
from mamc_keras.models import replica_compile
from mamc_keras.models.encoder import batch_norms
from mamc_keras.models.replica_optimizer import single_optimizers

SCRIPT = Path(__file__).parents[1] / "benchmarks" / "replicas.py"
QUICK = ["statistics, last batch smaller"]
# One row for each way in which replicas could differ; the script has them all.
ROWS = ["7 pairs", "another loss, image weights", "class weights"]
ROWS += ["momentum, averaged weights", "accumulation with everything"]
ROWS += ["two rates, clipped", "steps_per_execution", "loss summed"]
ROWS += ["mixed_float16, accumulation"]
REFUSED = ["statistics, 6 images", "jit_compile"]
REFUSED += ["mean_with_sample_weight", "ema_overwrite_frequency"]


def run_script(script, *arguments):
    # In a process of its own: devices are split before anything runs.
    done = subprocess.run(
        [sys.executable, str(script), *arguments],
        env={**os.environ, "PYTHONPATH": str(SCRIPT.parents[1])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def run_rows(folder, *arguments):
    out = folder / "replicas.csv"
    run_script(SCRIPT, "--out", str(out), *arguments)
    with out.open(newline="") as stream:
        return list(csv.DictReader(stream))


def assert_equal_to_one(rows):
    for row in rows:
        if not row["refused"]:
            gap = float(row["weights"])
            assert math.isfinite(gap) and gap <= float(row["tolerance"]), row


@pytest.mark.slow
def test_three_replicas_equal_one(tmp_path):
    rows = run_rows(tmp_path, "--replicas", "3", "--rows", *QUICK)
    assert [row["configuration"] for row in rows] == QUICK
    assert not any(row["refused"] for row in rows)
    assert_equal_to_one(rows)
    for row in rows:  # Losses, accuracy and predictions, of a few units.
        assert float(row["history"]) <= 2e-6, row


def test_overflow_on_one_replica_skips_the_step_on_both():
    script = Path(__file__).parent / "scripts" / "overflow.py"
    assert "both skipped" in run_script(script)


@pytest.mark.slow
def test_configurations_equal_one_replica(tmp_path):
    rows = run_rows(tmp_path, "--replicas", "3", "--rows", *ROWS)
    assert [row["configuration"] for row in rows] == ROWS
    assert not any(row["refused"] for row in rows)
    assert_equal_to_one(rows)


@pytest.mark.slow
def test_what_cannot_equal_one_replica_is_refused(tmp_path):
    rows = run_rows(tmp_path, "--replicas", "4", "--rows", *REFUSED)
    assert [row["configuration"] for row in rows if row["refused"]] == REFUSED


def fake_model(operations=None, count=3, **changes):
    """What `check` looks at, without devices."""
    values = {
        "distribute_strategy": SimpleNamespace(
            num_replicas_in_sync=count,
            extended=SimpleNamespace(_cross_device_ops=operations),
        ),
        "loss": keras.losses.SparseCategoricalCrossentropy(),
        "steps_per_execution": 1,
        "optimizer": keras.optimizers.SGD(0.1),
    }
    return SimpleNamespace(**{**values, **changes})


def test_what_gives_equal_results_passes():
    to_one = tf.distribute.ReductionToOneDevice()
    halves = tf.distribute.HierarchicalCopyAllReduce()
    replica_compile.check(fake_model(), "auto")
    replica_compile.check(fake_model(loss="mse"), False)
    replica_compile.check(fake_model(to_one, steps_per_execution=4), None)
    replica_compile.check(fake_model(halves, count=4), None)
    replica_compile.check(fake_model(count=1, steps_per_execution=4), True)


@pytest.mark.parametrize(
    ("named", "model", "jit_compile"),
    [
        ("jit_compile=True", fake_model(), True),
        (
            "mean_with_sample_weight",
            fake_model(
                loss=keras.losses.MeanSquaredError("mean_with_sample_weight")
            ),
            "auto",
        ),
        ("steps_per_execution=4", fake_model(steps_per_execution=4), "auto"),
        (
            "3 replicas",
            fake_model(tf.distribute.HierarchicalCopyAllReduce()),
            "auto",
        ),
    ],
)
def test_what_would_be_another_training_is_refused(named, model, jit_compile):
    with pytest.raises(ValueError, match=f"Received: .*{named}"):
        replica_compile.check(model, jit_compile)


def averaged():
    return keras.optimizers.SGD(0.1, use_ema=True, ema_overwrite_frequency=5)


@pytest.mark.parametrize(
    "wrap",
    [
        lambda optimizer: optimizer,
        keras.optimizers.LossScaleOptimizer,
        lambda optimizer: keras.optimizers.MultiOptimizer(
            keras.optimizers.OptimizerMap(optimizer)
        ),
    ],
)
def test_refused_options_are_found_inside_other_optimizers(wrap):
    optimizer = wrap(averaged())
    assert [o.use_ema for o in single_optimizers(optimizer)] == [True]
    with pytest.raises(ValueError, match="ema_overwrite_frequency=5"):
        replica_compile.check(fake_model(optimizer=optimizer), "auto")


def test_statistics_are_synchronised_with_several_replicas_only():
    network = encoder()
    for count, expected in ((2, True), (1, False)):
        network._distribute_strategy = SimpleNamespace(
            num_replicas_in_sync=count
        )
        replica_compile.synchronize_statistics(network)
        found = {layer.synchronized for layer in batch_norms(network)}
        assert found == {expected}


def test_one_device_needs_no_strategy():
    assert strategy(1) is None


@pytest.mark.parametrize("devices", [0, -1, 1.5, "2", True, None])
def test_devices_are_a_whole_number(devices):
    with pytest.raises(ValueError, match="Received: devices="):
        strategy(devices)


def test_a_cpu_in_use_cannot_be_split():
    tf.constant(1.0) + 1.0
    with pytest.raises(ValueError, match="devices=999 with 1 in use"):
        strategy(999)


def test_more_devices_than_gpus_are_refused(monkeypatch):
    monkeypatch.setattr(
        tf.config, "list_physical_devices", lambda kind: ["GPU:0", "GPU:1"]
    )
    with pytest.raises(ValueError, match=r"devices=3 with 2 GPU"):
        strategy(3)
