"""Several machines that train one model together."""

import contextlib
import dataclasses
import json
import os

from mamc_keras.data.batches.sharding import PlanShard


@dataclasses.dataclass(frozen=True)
class Cluster:
    """Where this process stands among those that train together.

    Args:
        worker: int, from 0. Worker 0 is the chief: it alone writes.
        workers: int. 1 is the ordinary case of one process.
    """

    worker: int = 0
    workers: int = 1

    @property
    def is_chief(self):
        """Whether this worker writes the run folder."""
        return self.worker == 0


def cluster():
    """Reads TensorFlow's own description of a cluster, `$TF_CONFIG`.

    Returns:
        A `Cluster`; of one worker without the variable.

    Raises:
        ValueError: when the variable cannot be understood.
    """
    text = os.environ.get("TF_CONFIG", "")
    if not text:
        return Cluster()
    try:
        config = json.loads(text)
        jobs = config["cluster"]
        kind, index = config["task"]["type"], int(config["task"]["index"])
        chiefs = len(jobs.get("chief", ()))
        sizes = {"chief": chiefs, "worker": len(jobs.get("worker", ()))}
        known = 0 <= index < sizes[kind] and set(jobs) <= set(sizes)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(_hint(text)) from error
    if not known or chiefs > 1:
        raise ValueError(_hint(text))
    worker = index + (chiefs if kind == "worker" else 0)
    return Cluster(worker, sum(sizes.values()))


def _hint(text):
    return (
        "TF_CONFIG names the workers and which of them this is. Received: "
        f"{text!r}. Like this: "
        '{"cluster": {"worker": ["host0:2222", "host1:2222"]}, '
        '"task": {"type": "worker", "index": 0}}.'
    )


def multi_worker_strategy():
    """Joins the other workers; each uses all GPUs of its machine.

    Returns:
        A `tf.distribute.MultiWorkerMirroredStrategy`.

    Raises:
        ValueError: when TensorFlow has computed something already.
    """
    import tensorflow as tf

    try:
        return tf.distribute.MultiWorkerMirroredStrategy()
    except RuntimeError as error:
        raise ValueError(
            "Workers join before TensorFlow computes anything. Received: "
            f"{error} Call train first in a new process."
        ) from error


def shared_out(strategy, here, stream, preprocess, class_weights=None):
    """Feeds every replica its own classes of each batch of a plan.

    Args:
        strategy: the strategy of all workers.
        here: `Cluster`.
        stream: function `(plan, epoch, step) -> tf.data.Dataset`.
        preprocess: callable on a batch, the model's.
        class_weights: dict of class number to float, or `None`; `fit` cannot
            add them to a distributed dataset.

    Returns:
        The same function, but the datasets are distributed ones for `fit`.
    """
    import tensorflow as tf

    replicas = strategy.num_replicas_in_sync
    first = here.worker * replicas // here.workers
    last = (here.worker + 1) * replicas // here.workers

    def weigh(images, labels):
        table = [class_weights[i] for i in range(len(class_weights))]
        weights = tf.gather(tf.constant(table, tf.float32), labels)
        return images, labels, weights

    def distributed(plan, epoch, step):
        parts = [
            stream(PlanShard(plan, replica, replicas), epoch, step)
            for replica in range(first, last)
        ]
        turns = tf.data.Dataset.range(len(parts)).repeat()
        in_turn = tf.data.Dataset.choose_from_datasets(parts, turns)
        batches = (in_turn if len(parts) > 1 else parts[0]).map(preprocess)
        if class_weights:
            batches = batches.map(weigh)
        return strategy.distribute_datasets_from_function(lambda _: batches)

    return distributed


def all_of_it(strategy, dataset, preprocess):
    """Feeds every worker the whole of a dataset, as validation needs it.

    Args:
        strategy: the strategy of all workers.
        dataset: `tf.data.Dataset`, or `None`.
        preprocess: callable on a batch, the model's.

    Returns:
        `tf.distribute.DistributedDataset`, or `None`.
    """
    if dataset is None:
        return None
    dataset = dataset.map(preprocess)
    return strategy.distribute_datasets_from_function(lambda _: dataset)


@contextlib.contextmanager
def loss_of_a_worker(here, path):
    """Says in one sentence what happened when another worker is gone.

    Args:
        here: `Cluster`.
        path: `Path` of the run folder.

    Returns:
        A context manager.

    Raises:
        ConnectionError: in place of TensorFlow's errors of communication.
    """
    if here.workers == 1:
        yield
        return
    import tensorflow as tf

    errors = tf.errors
    try:
        yield
    except (
        errors.AbortedError,
        errors.CancelledError,
        errors.DeadlineExceededError,
        errors.InternalError,
        errors.UnavailableError,
    ) as error:
        first = next(iter(str(error).strip().splitlines()), "nothing")
        raise ConnectionError(
            f"Worker {here.worker} of {here.workers} lost the others. "
            f"Received from TensorFlow: {first} Start all of them again with "
            f"--resume to go on from the last checkpoint in {path}."
        ) from error


def wait_for_all(strategy):
    """Returns when every worker has come here.

    Args:
        strategy: the strategy of all workers.
    """
    import tensorflow as tf

    def add():
        context = tf.distribute.get_replica_context()
        return context.all_reduce("SUM", tf.constant(1.0))

    tf.function(lambda: strategy.run(add))()
