"""MAMC over the whole batch when a strategy has cut it into pieces.

MAMC's negatives come from the batch, so a loss on one replica's piece is
another loss, and an automatic cut can separate a pair. Every replica
therefore gathers all embeddings and keeps its own images as anchors; the
replicas' parts add up to the term of the whole batch.
"""

import keras
from keras import ops

from mamc_keras.mamc_loss import MAMCLoss
from mamc_keras.mamc_loss import mamc_terms


def _replica_context():
    if keras.backend.backend() != "tensorflow":
        return None
    import tensorflow as tf

    context = tf.distribute.get_replica_context()
    if context is None or context.num_replicas_in_sync == 1:
        return None
    return context


def global_terms(loss, labels, embeddings, sample_weight=None):
    """Computes this replica's part of the three terms of the whole batch.

    Args:
        loss: `MAMCLoss`, whose conventions are used; or another Keras loss
            of (labels, embeddings), which sees one device's batch only.
        labels: integer tensor `(B_local,)`.
        embeddings: tensor `(B_local, P, D)`.
        sample_weight: tensor `(B_local,)` or `None`.

    Returns:
        dict of scalars `"sasc"`, `"sadc"`, `"dasc"`. Their sum over the
        replicas, and the sum of their gradients, are those of one device.
        For another loss, a dict of one scalar by its name.

    Raises:
        ValueError: for another loss on several replicas.
    """
    anchors = None
    context = _replica_context()
    if not isinstance(loss, MAMCLoss):
        if context is not None:
            raise ValueError(
                "Only MAMCLoss can be taken apart over several replicas. "
                f"Received: mamc_loss={loss.name!r}. Train it on one device."
            )
        return {loss.name: loss(labels, embeddings, sample_weight)}
    if context is not None:
        import tensorflow as tf

        size = tf.shape(labels)[0]
        sizes = context.all_gather(size[None], axis=0)
        replica = context.replica_id_in_sync_group
        first = tf.reduce_sum(sizes[:replica])
        anchors = first + tf.range(size)
        # Gathering forgets static sizes, which the loss needs.
        shape = embeddings.shape[1:]
        # float32 first: a float16 gradient summed over replicas overflows.
        embeddings = tf.cast(embeddings, tf.float32)
        embeddings = context.all_gather(embeddings, axis=0)
        embeddings = tf.ensure_shape(embeddings, (None, *shape))
        labels = context.all_gather(labels, axis=0)
        if sample_weight is not None:
            sample_weight = context.all_gather(sample_weight, axis=0)
    return mamc_terms(
        labels, embeddings, sample_weight, anchors, **loss.conventions()
    )


def unscaled(value):
    """Undoes the division of a loss by the number of replicas, for logs.

    Args:
        value: scalar tensor, one replica's part of a batch value.

    Returns:
        The value that, averaged over replicas, is the whole batch's.
    """
    context = _replica_context()
    if context is None:
        return value
    return value * ops.cast(context.num_replicas_in_sync, value.dtype)


def agree_on_overflow(gradients):
    """Lets every replica see when one of them has an overflow.

    Keras' loss scaling asks only the first replica whether its gradients are
    finite, so an overflow on another one would reach the weights.

    Args:
        gradients: list of tensors or `None`, one replica's.

    Returns:
        The same list; with an overflow on any replica its first gradient is
        infinite on all of them, and the step is skipped everywhere.
    """
    context = _replica_context()
    if context is None:
        return gradients
    import tensorflow as tf

    present = [g for g in gradients if g is not None]
    finite = tf.reduce_all(
        [tf.reduce_all(tf.math.is_finite(g)) for g in present]
    )
    overflows = context.all_reduce("SUM", tf.where(finite, 0.0, 1.0))
    poison = tf.where(overflows > 0, float("inf"), 0.0)
    first = next(i for i, g in enumerate(gradients) if g is not None)
    gradients = list(gradients)
    gradients[first] += tf.cast(poison, gradients[first].dtype)
    return gradients
