"""One step of training when a strategy has cut the batch into pieces.

MAMC's negatives come from the batch, so a loss on one replica's piece is
another loss, and an automatic cut can separate a pair. Every replica
therefore gathers all embeddings and keeps its own images as anchors; the
replicas' parts add up to the term of the whole batch.

Pieces may differ in size, and a small last batch leaves some of them empty.
"""

import keras
from keras import ops

from mamc_keras.mamc_loss import MAMCLoss
from mamc_keras.mamc_loss import mamc_terms
from mamc_keras.models.encoder import batch_norms

EMPTY = (
    "The batch is too small: it leaves a replica without an image, and "
    "BatchNormalization cannot train on none. Received: a batch that gives "
    "the first replicas all images. Use larger batches, fewer devices or "
    "frozen BatchNormalization."
)


def replica_context():
    """Returns TensorFlow's replica context; `None` on a single device."""
    if keras.backend.backend() != "tensorflow":
        return None
    import tensorflow as tf

    context = tf.distribute.get_replica_context()
    if context is None or context.num_replicas_in_sync == 1:
        return None
    return context


def call(model, images, training):
    """Calls a model on a replica's piece of a batch, empty or not.

    Args:
        model: `keras.Model`.
        images: tensor `(B_local, height, width, channels)`.
        training: bool.

    Returns:
        What the model gives for these images.

    Raises:
        tf.errors.InvalidArgumentError: in the step, when a piece is empty
            and BatchNormalization trains.
    """
    if replica_context() is None:
        return model(images, training=training)
    import tensorflow as tf

    # oneDNN's convolution of no image at all has the wrong shape, so an
    # empty piece gets one black image, whose output is dropped again.
    size = tf.shape(images)[0]
    if training and any(layer.trainable for layer in batch_norms(model)):
        tf.debugging.assert_positive(size, EMPTY)
    shape = images.shape
    missing = tf.maximum(1 - size, 0)
    images = tf.pad(images, [[0, missing], *[[0, 0]] * (len(shape) - 1)])
    images = tf.ensure_shape(images, (None, *shape[1:]))
    outputs = model(images, training=training)
    return keras.tree.map_structure(lambda x: x[:size], outputs)


def global_terms(loss, labels, embeddings, sample_weight=None):
    """Computes this replica's part of the three terms of the whole batch.

    Args:
        loss: `MAMCLoss`, whose conventions are used; or another Keras loss
            of (labels, embeddings).
        labels: integer tensor `(B_local,)`.
        embeddings: tensor `(B_local, P, D)`.
        sample_weight: tensor `(B_local,)` or `None`.

    Returns:
        dict of scalars `"sasc"`, `"sadc"`, `"dasc"`. Their sum over the
        replicas, and the sum of their gradients, are those of one device.
        For another loss, a dict of one scalar by its name.
    """
    anchors = None
    context = replica_context()
    if context is not None:
        import tensorflow as tf

        size = tf.shape(labels)[0]
        sizes = _gather(context, size[None])
        replica = context.replica_id_in_sync_group
        first = tf.reduce_sum(sizes[:replica])
        anchors = first + tf.range(size)
        # Gathering forgets static sizes, which the loss needs.
        shape = embeddings.shape[1:]
        # float32 first: a float16 gradient summed over replicas overflows.
        dtype = keras.backend.result_type(embeddings.dtype, "float32")
        embeddings = tf.cast(embeddings, dtype)
        embeddings = _gather(context, embeddings)
        embeddings = tf.ensure_shape(embeddings, (None, *shape))
        labels = _gather(context, labels)
        if sample_weight is not None:
            sample_weight = _gather(context, sample_weight)
    if isinstance(loss, MAMCLoss):
        return mamc_terms(
            labels, embeddings, sample_weight, anchors, **loss.conventions()
        )
    value = loss(labels, embeddings, sample_weight)
    if context is not None and not _keras_divides(
        loss, labels, embeddings, sample_weight
    ):
        # Each replica has the whole value, and theirs are added up.
        value = value / context.num_replicas_in_sync
    return {loss.name: value}


def _gather(context, value):
    """Lays the replicas' values side by side along the first axis."""
    import tensorflow as tf

    local = context.strategy.extended.worker_devices
    if len(local) > 1:
        return context.all_gather(value, axis=0)
    # With one device on each machine TensorFlow asks the tensor where it is.
    with tf.device(local[0]):
        return context.all_gather(tf.identity(value), axis=0)


def _keras_divides(loss, labels, embeddings, sample_weight):
    """Tells whether Keras divides a loss by the number of replicas."""
    if loss.reduction in ("sum", "none", None):
        return False
    # Keras averages, and divides, only what is not a scalar yet.
    return sample_weight is not None or loss.call(labels, embeddings).shape.rank


def share_weight(sample_weight, labels):
    """Weighs a replica's images by their share of the whole batch.

    Keras takes the mean over each piece and then over the replicas, which
    counts the images of a small piece too much.

    Args:
        sample_weight: tensor `(B_local,)` or `None`.
        labels: tensor `(B_local, ...)`.

    Returns:
        Tensor of the weights to give to Keras; on a single device
        `sample_weight` itself.
    """
    context = replica_context()
    if context is None:
        return sample_weight
    import tensorflow as tf

    size = tf.cast(tf.shape(labels)[0], "float32")
    share = size * context.num_replicas_in_sync
    share = tf.math.divide_no_nan(share, context.all_reduce("SUM", size))
    if sample_weight is None:
        return tf.fill(tf.shape(labels)[:1], share)
    # Weights may be whole numbers, which a share is not.
    dtype = keras.backend.result_type(sample_weight.dtype, "float32")
    return tf.cast(sample_weight, dtype) * tf.cast(share, dtype)


def total(value):
    """Adds up the replicas' parts of a value of the batch, for logs.

    Args:
        value: scalar tensor, one replica's part.

    Returns:
        Scalar tensor, the same on every replica.
    """
    context = replica_context()
    if context is None:
        return value
    # Run eagerly, Keras' loss of no image is an empty vector.
    return context.all_reduce("SUM", ops.sum(value))


def for_keras(logs):
    """Gives metrics the axis along which Keras averages over machines.

    Args:
        logs: dict of scalars, a replica's.

    Returns:
        dict of tensors `(1,)` on several machines, otherwise `logs`.
    """
    if replica_context() is None:
        return logs
    import tensorflow as tf

    strategy = tf.distribute.get_strategy()
    if isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy):
        return {name: value[None] for name, value in logs.items()}
    return logs


def unscaled(value):
    """Undoes the division of a loss by the number of replicas, for logs.

    Args:
        value: scalar tensor, one replica's part of a batch value.

    Returns:
        The value that, averaged over replicas, is the whole batch's.
    """
    context = replica_context()
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
    context = replica_context()
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
