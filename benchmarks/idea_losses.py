"""Other uses of MAMC than the batch's own, which benchmarks/ideas.py tries."""

import keras
from keras import ops

from mamc_keras import MAMCLoss
from mamc_keras.mamc_loss import mamc_terms


@keras.saving.register_keras_serializable(package="mamc_keras_benchmarks")
class RisingMAMC(keras.losses.Loss):
    """MAMC whose weight rises from 0 in a line, over `steps` batches."""

    def __init__(self, steps, name="rising", **kwargs):
        super().__init__(name=name, **kwargs)
        self.steps = steps
        self.step = keras.Variable(0.0, trainable=False)
        self.mamc = MAMCLoss()

    def call(self, y_true, y_pred):
        share = ops.minimum(self.step / self.steps, 1.0)
        self.step.assign_add(1.0)
        return share * self.mamc(ops.cast(y_true, "int32"), y_pred)

    def get_config(self):
        return {**super().get_config(), "steps": self.steps}


@keras.saving.register_keras_serializable(package="mamc_keras_benchmarks")
class MemoryMAMC(keras.losses.Loss):
    """MAMC whose positives and negatives come from earlier batches, too.

    The anchors are the batch's own. The memory holds the embeddings, each of
    `shape` `(P, D)`, of the last `size` images as they were, without a
    gradient; it joins after `start` batches, when the network moves slowly. A
    class that comes again may meet an older embedding of the same image: one
    more positive.

    Reference: [Wang et al., 2020](https://arxiv.org/abs/1912.06798)
    """

    def __init__(
        self, size=512, start=0, shape=(2, 512), name="memory", **kwargs
    ):
        super().__init__(name=name, **kwargs)
        self.size = size
        self.start = start
        self.shape = tuple(shape)
        self.step = keras.Variable(0, trainable=False, dtype="int32")
        self.labels = keras.Variable(
            ops.zeros((size,), "int32"), trainable=False, dtype="int32"
        )
        self.present = keras.Variable(ops.zeros((size,)), trainable=False)
        self.embeddings = keras.Variable(
            ops.zeros((size, *self.shape)), trainable=False
        )

    def call(self, y_true, y_pred):
        labels = ops.cast(ops.reshape(y_true, (-1,)), "int32")
        batch_size = ops.shape(y_pred)[0]
        ready = ops.cast(self.step >= self.start, "float32")
        weights = ops.concatenate(
            [ops.ones((batch_size,)), ready * self.present], axis=0
        )
        terms = mamc_terms(
            ops.concatenate([labels, self.labels.value], axis=0),
            ops.concatenate([y_pred, self.embeddings.value], axis=0),
            weights,
            ops.arange(batch_size),
        )
        # The terms are divided by all images, but only these are anchors.
        total = sum(terms.values()) * ops.sum(weights)
        self._remember(labels, ops.stop_gradient(y_pred))
        return total / ops.cast(batch_size, "float32")

    def _remember(self, labels, embeddings):
        def put(memory, new):
            both = ops.concatenate([new, memory.value], axis=0)
            memory.assign(both[: self.size])

        put(self.labels, labels)
        put(self.embeddings, embeddings)
        put(self.present, ops.ones_like(ops.cast(labels, "float32")))
        self.step.assign_add(1)

    def get_config(self):
        config = {"size": self.size, "start": self.start, "shape": self.shape}
        return {**super().get_config(), **config}
