"""What `compile` looks after when a strategy has several replicas."""

from mamc_keras.models.encoder import batch_norms
from mamc_keras.models.replica_optimizer import single_optimizers


def num_replicas(model):
    """Counts the replicas that a model was built on, 1 without a strategy.

    Args:
        model: `keras.Model`.
    """
    strategy = getattr(model, "distribute_strategy", None)
    return getattr(strategy, "num_replicas_in_sync", 1)


def synchronize_statistics(model):
    """Lets BatchNormalization see the whole batch and not one piece of it.

    On a single device this has no meaning and is turned off again, because
    Keras then computes the variance in a less accurate way.

    Args:
        model: `keras.Model`, any backbone in it.
    """
    for layer in batch_norms(model):
        layer.synchronized = num_replicas(model) > 1


def check(model, jit_compile):
    """Refuses what would be another training than that of one device.

    Args:
        model: compiled `keras.Model`.
        jit_compile: what `compile` was given.

    Raises:
        ValueError: with one sentence for the first thing that cannot be.
    """
    count = num_replicas(model)
    if count == 1:
        return
    if jit_compile is True:
        raise ValueError(
            "XLA cannot gather the embeddings of several replicas. Received: "
            f"jit_compile=True with {count} replicas. Leave it out."
        )
    reduction = getattr(model.loss, "reduction", "sum_over_batch_size")
    if reduction not in ("sum_over_batch_size", "mean", "sum"):
        raise ValueError(
            "This loss does not add up over several replicas. Received: "
            f"reduction={reduction!r} with {count} replicas. Use "
            '"sum_over_batch_size" or "sum".'
        )
    if count % 2 and _halves(model):
        raise ValueError(
            "TensorFlow's HierarchicalCopyAllReduce adds up wrongly on an odd "
            f"number of devices. Received: {count} replicas. Use "
            "tf.distribute.ReductionToOneDevice() or the default."
        )
    if model.steps_per_execution > 1 and _collective(model):
        raise ValueError(
            "TensorFlow's collective operations fail in a loop over steps. "
            f"Received: steps_per_execution={model.steps_per_execution} with "
            f"{count} replicas. Make the strategy with cross_device_ops="
            "tf.distribute.ReductionToOneDevice(), or leave it out."
        )
    for optimizer in single_optimizers(model.optimizer):
        if optimizer.ema_overwrite_frequency:
            raise ValueError(
                "Averaged weights cannot replace the weights during training "
                "on several replicas. Received: ema_overwrite_frequency="
                f"{optimizer.ema_overwrite_frequency} with {count} replicas. "
                "Leave it out: they do at the end of fit."
            )


def _operations(model):
    """The operations by which the replicas talk, TensorFlow's default too."""
    extended = model.distribute_strategy.extended
    return getattr(extended, "_cross_device_ops", None)


def _halves(model):
    import tensorflow as tf

    return isinstance(
        _operations(model), tf.distribute.HierarchicalCopyAllReduce
    )


def _collective(model):
    import tensorflow as tf

    simple = (
        tf.distribute.HierarchicalCopyAllReduce,
        tf.distribute.ReductionToOneDevice,
        tf.distribute.NcclAllReduce,
    )
    return not isinstance(_operations(model), simple)
