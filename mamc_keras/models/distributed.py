"""Datasets that a strategy has dealt out already, in `fit` and `evaluate`."""

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


def _is_distributed(x):
    return type(x).__name__.startswith("DistributedDataset")
