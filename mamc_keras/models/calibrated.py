"""A classifier that knows how sure it may be, and what it does not know."""

from keras import ops


class CalibrationMixin:
    """`calibration`, and what `MAMCImageClassifier` answers by it.

    `calibration` is a `mamc_keras.evaluation.stored_calibration.Calibration`,
    or `None`. Presets keep it; it holds for these weights and classes only,
    so `fit` and `with_classes` drop it.
    """

    calibration = None

    @property
    def softmax_temperature(self):
        """What `probabilities` divides logits by; 1 without a calibration."""
        return self.calibration.temperature if self.calibration else 1.0

    def fit(self, *args, **kwargs):
        """Trains the model; see `keras.Model.fit`.

        Args:
            *args, **kwargs: see `keras.Model.fit`.

        Returns:
            `keras.callbacks.History`.
        """
        self.calibration = None
        return super().fit(*args, **kwargs)

    def is_unknown(self, images):
        """Says which photos perhaps show none of the classes.

        Args:
            images: `(batch_size, height, width, 3)`, values 0..255.

        Returns:
            bool array `(batch_size,)`.

        Raises:
            ValueError: when the preset stores no calibration.
        """
        if self.calibration is None:
            raise ValueError(
                "What is unknown to this classifier is not known. Received: "
                "calibration=None. Train it with 100 or more validation "
                "photos, or set model.calibration to what "
                "mamc_keras.evaluation.calibration.calibrate gives."
            )
        scores = self._in_batches(
            lambda x: self.known_score(self.heads(x)), images
        )
        return scores < self.calibration.threshold

    def known_score(self, outputs):
        """What `Calibration.known_score` gives, in operations of Keras.

        For graphs that are exported.

        Args:
            outputs: dict of tensors from `heads`, with a calibration.

        Returns:
            float32 tensor `(batch_size,)`; below `calibration.threshold` a
            photo is perhaps of none of the classes.
        """
        logits = ops.cast(outputs["logits"], "float32")
        if self.calibration.score == "energy":
            return ops.logsumexp(logits, axis=1)
        if self.calibration.score == "max_probability":
            return ops.max(ops.softmax(logits, axis=1), axis=1)
        vectors = _unit(ops.cast(outputs["embeddings"], "float32"))
        table = self.calibration.prototypes.astype("float32")
        vectors = _unit(ops.reshape(vectors, (-1, table.shape[1])))
        return ops.max(ops.matmul(vectors, table.T), axis=1)


def _unit(vectors):
    # As evaluation.retrieval.normalised: a branch of zeros stays zero.
    lengths = ops.norm(vectors, axis=-1, keepdims=True)
    return vectors / ops.maximum(lengths, 1e-12)
