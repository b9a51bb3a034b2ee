"""Cross-entropy of integer labels: smoothed targets, long-tailed classes."""

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="mamc_keras")
class CrossEntropy(keras.losses.Loss):
    """`SparseCategoricalCrossentropy` of logits with two more options.

    Keras smooths one-hot targets only. With `K` classes, the target of the
    true class is `1 - s + s / K` and that of every other one `s / K`:

        (1 - s) * (-log p_y) + s * mean over classes of (-log p)

    Where frequent classes win by their number alone, each logit is raised by
    `tau log(prior)` while training, `p = softmax(z + tau log(prior))`, so that
    `z` itself, which predictions use, need not hold it.

    Args:
        label_smoothing: float in `[0, 1)`, `s`.
        logit_offsets: sequence of `num_classes` floats, `tau log(prior)`, or
            `None`. See `mamc_keras.long_tail.logit_offsets`.
        name: str.
        **kwargs: see `keras.losses.Loss`.

    Call arguments:
        y_true: int tensor of shape `(batch_size,)` or `(batch_size, 1)`.
        y_pred: logits of shape `(batch_size, num_classes)`.

    Reference:

    - [Szegedy et al., 2016](https://arxiv.org/abs/1512.00567)
    - [Menon et al., 2021](https://arxiv.org/abs/2007.07314), equation 10
    """

    def __init__(
        self,
        label_smoothing=0.0,
        logit_offsets=None,
        name="cross_entropy",
        **kwargs,
    ):
        super().__init__(name=name, **kwargs)
        if not 0 <= label_smoothing < 1:
            raise ValueError(
                "label_smoothing is a part of one, from 0 to below 1. "
                f"Received: label_smoothing={label_smoothing}."
            )
        self.label_smoothing = label_smoothing
        self.logit_offsets = logit_offsets and [float(v) for v in logit_offsets]

    def call(self, y_true, y_pred):
        if self.logit_offsets:
            y_pred = y_pred + ops.convert_to_tensor(
                self.logit_offsets, y_pred.dtype
            )
        log_p = ops.log_softmax(y_pred, axis=-1)
        y_true = ops.reshape(y_true, (-1, 1))
        of_label = ops.take_along_axis(log_p, y_true, axis=-1)[:, 0]
        of_all = ops.mean(log_p, axis=-1)
        s = self.label_smoothing
        return -(1 - s) * of_label - s * of_all

    def get_config(self):
        return {
            **super().get_config(),
            "label_smoothing": self.label_smoothing,
            "logit_offsets": self.logit_offsets,
        }
