"""What `fit` and `evaluate` need when several machines train together."""

import keras


class DistributedMixin:
    """Lets `fit` and `evaluate` take distributed datasets.

    KerasHub maps its preprocessing over `tf.data` and takes a distributed
    dataset for an array. Here such a dataset goes straight to Keras; its
    batches must be preprocessed.
    """

    def fit(self, x=None, y=None, **kwargs):
        """Trains the model; see `keras.Model.fit`.

        Args:
            x: arrays, `tf.data.Dataset`, or a distributed dataset of
                preprocessed batches.
            y: labels, for arrays.
            **kwargs: see `keras.Model.fit`.

        Returns:
            `keras.callbacks.History`.
        """
        if _is_distributed(x):
            return keras.Model.fit(self, x, **kwargs)
        return super().fit(x, y, **kwargs)

    def evaluate(self, x=None, y=None, **kwargs):
        """Measures the model; see `keras.Model.evaluate`.

        Args:
            x: as in `fit`.
            y: labels, for arrays.
            **kwargs: see `keras.Model.evaluate`.

        Returns:
            float, list or dict of metrics.
        """
        if _is_distributed(x):
            return keras.Model.evaluate(self, x, **kwargs)
        return super().evaluate(x, y, **kwargs)

    if keras.backend.backend() == "tensorflow":

        def train_step(self, data):
            """One optimisation step.

            Args:
                data: batch, or this replica's piece of one.

            Returns:
                dict of metrics.
            """
            return _for_workers(super().train_step(data))

        def test_step(self, data):
            """Measures one batch.

            Args:
                data: batch, or this replica's piece of one.

            Returns:
                dict of metrics.
            """
            return _for_workers(super().test_step(data))


def _is_distributed(x):
    return type(x).__name__.startswith("DistributedDataset")


def _for_workers(logs):
    """Gives metrics the axis along which Keras averages over workers."""
    import tensorflow as tf

    strategy = tf.distribute.get_strategy()
    if isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy):
        return {name: value[None] for name, value in logs.items()}
    return logs
