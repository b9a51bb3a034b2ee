"""How a process finds its place among several, and what it is fed."""

import json

import numpy as np
import pytest

from mamc_keras import NPairPlan
from mamc_keras.data.batches.sharding import PlanShard
from mamc_keras.data.pipeline import n_pair_dataset
from mamc_keras.data.sources import open_source
from mamc_keras.workers import Cluster
from mamc_keras.workers import cluster


def config(index, kind="worker", **jobs):
    task = {"type": kind, "index": index}
    return json.dumps({"cluster": jobs, "task": task})


@pytest.mark.parametrize(
    "text, expected",
    [
        ("", Cluster(0, 1)),
        (config(0, worker=["a:1"]), Cluster(0, 1)),
        (config(2, worker=["a:1", "b:1", "c:1"]), Cluster(2, 3)),
        (config(0, "chief", chief=["a:1"], worker=["b:1"]), Cluster(0, 2)),
        (config(0, chief=["a:1"], worker=["b:1"]), Cluster(1, 2)),
    ],
)
def test_the_place_of_a_process(text, expected, monkeypatch):
    monkeypatch.setenv("TF_CONFIG", text)
    assert cluster() == expected
    assert cluster().is_chief == (expected.worker == 0)


@pytest.mark.parametrize(
    "text",
    [
        "not json",
        "[]",
        "{}",
        config(2, worker=["a:1", "b:1"]),
        config(-1, worker=["a:1", "b:1"]),
        config(0, "ps", ps=["a:1"], worker=["b:1"]),
        config(0, worker=["a:1"], ps=["b:1"]),
        config(0, chief=["a:1", "b:1"], worker=["c:1"]),
    ],
)
def test_a_cluster_that_cannot_be(text, monkeypatch):
    monkeypatch.setenv("TF_CONFIG", text)
    with pytest.raises(ValueError, match="TF_CONFIG names the workers"):
        cluster()


def test_the_workers_views_are_those_of_one_process(photo_folder):
    """Side by side the parts are the batch, augmented pixels included."""
    images = open_source(str(photo_folder))["train"]
    plan = NPairPlan(images.labels, 3, 2, seed=1)

    def first(plan, step):
        dataset = n_pair_dataset(
            images,
            plan,
            (32, 32),
            "standard",
            5,
            start_epoch=1,
            start_step=step,
        )
        return next(iter(dataset))

    for step in (0, 2):
        whole = first(plan, step)
        parts = [first(PlanShard(plan, w, 2), step) for w in range(2)]
        for i in range(2):
            together = np.concatenate([part[i] for part in parts])
            np.testing.assert_array_equal(together, whole[i])
