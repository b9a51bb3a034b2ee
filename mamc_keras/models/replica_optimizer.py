"""Keras' clipping and gradient accumulation, exact on several replicas.

Keras clips every replica's gradient before it adds them up, which is not
clipping their sum, and its accumulation fails under a strategy (keras issue
20582: it chooses between two ways inside a replica, where the devices cannot
meet). Here the gradients are added up first, and the choice is made for all
replicas at once. Each replica then hands Keras its share of the finished
gradient, which Keras adds up again: the share is smaller than any limit of the
clipping, so that the optimizer's own finds nothing to do.
"""

import functools

import keras

LIMITS = ("clipnorm", "global_clipnorm", "clipvalue")


def prepare(optimizer):
    """Makes an optimizer clip and accumulate the sum over the replicas.

    Any Keras optimizer, the ones inside a `MultiOptimizer` or a
    `LossScaleOptimizer` included. One that does neither stays as it is.

    Args:
        optimizer: Keras optimizer, used under a strategy with several
            replicas.
    """
    for single in single_optimizers(optimizer):
        clips = any(getattr(single, limit) for limit in LIMITS)
        if clips or single.gradient_accumulation_steps:
            single._backend_apply_gradients = functools.partial(_apply, single)


def single_optimizers(optimizer):
    """Lists the optimizers that a wrapping one holds, or itself.

    Args:
        optimizer: Keras optimizer.

    Returns:
        list of Keras optimizers.
    """
    if isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
        optimizer = optimizer.inner_optimizer
    return list(getattr(optimizer, "optimizers", [optimizer]))


def _apply(optimizer, gradients, variables):
    """Stands in for `BaseOptimizer._backend_apply_gradients`."""
    import tensorflow as tf

    context = tf.distribute.get_replica_context()
    gradients = context.all_reduce("SUM", list(gradients))
    if optimizer.gradient_accumulation_steps:
        choose = functools.partial(_accumulate, optimizer, variables)
        context.merge_call(choose, args=(gradients,))
        optimizer._update_model_variables_moving_average(
            optimizer._trainable_variables
        )
        return
    type(optimizer)._backend_apply_gradients(
        optimizer, _shares(optimizer._clip_gradients(gradients)), variables
    )


def _shares(gradients):
    import tensorflow as tf

    replicas = tf.distribute.get_replica_context().num_replicas_in_sync
    return [gradient / replicas for gradient in gradients]


def _accumulate(optimizer, variables, strategy, gradients):
    """Adds up, or updates, on all replicas at once: as Keras on one."""
    import tensorflow as tf

    steps = optimizer.gradient_accumulation_steps
    sums = [
        optimizer._accumulated_gradients[optimizer._get_variable_index(v)]
        for v in variables
    ]

    def update(gradients):
        mean = [(g + s) / steps for g, s in zip(gradients, sums, strict=True)]
        mean = optimizer._clip_gradients(mean)
        optimizer._apply_weight_decay(variables)
        optimizer._backend_update_step(
            _shares(mean), variables, optimizer.learning_rate
        )
        optimizer._backend_reset_gradient_accumulators()

    def add(gradients):
        optimizer._backend_increment_gradient_accumulators(gradients, sums)

    def on_each(function):
        strategy.extended.call_for_each_replica(function, args=(gradients,))

    tf.cond(
        tf.equal((optimizer._iterations.value + 1) % steps, 0),
        lambda: on_each(update),
        lambda: on_each(add),
    )
