"""How the classifier learns: cross-entropy plus the weighted MAMC terms."""

import keras

from mamc_keras.mamc_loss import MAMCLoss
from mamc_keras.models import replica_compile
from mamc_keras.models import replica_optimizer
from mamc_keras.models import replicas


def term_names(loss):
    """Names the parts of an embedding loss that are logged on their own.

    Args:
        loss: `MAMCLoss`, or another Keras loss of (labels, embeddings).

    Returns:
        tuple of str.
    """
    if isinstance(loss, MAMCLoss):
        return ("sasc", "sadc", "dasc")
    return (loss.name,)


class ObjectiveMixin:
    """`compile`, `compute_loss` and `train_step` of `MAMCImageClassifier`."""

    def compile(
        self, optimizer="auto", loss="auto", *, metrics="auto", **kwargs
    ):
        """Configures training; every default is a plain Keras object.

        Args:
            optimizer: Keras optimizer; `"auto"` is `AdamW(3e-4)`.
            loss: cross-entropy part of the objective; `"auto"` fits integer
                labels. The MAMC terms are added to whatever is given.
            metrics: list of metrics of the predictions; `"auto"` is accuracy.
            **kwargs: see `keras.Model.compile`.

        Raises:
            ValueError: on what several replicas cannot do as one does.
        """
        if isinstance(optimizer, str) and optimizer == "auto":
            optimizer = keras.optimizers.AdamW(3e-4)
        if isinstance(loss, str) and loss == "auto":
            loss = keras.losses.SparseCategoricalCrossentropy(
                from_logits=getattr(self, "activation", None) != "softmax"
            )
        if isinstance(metrics, str) and metrics == "auto":
            metrics = [keras.metrics.SparseCategoricalAccuracy(name="accuracy")]
        super().compile(
            optimizer=optimizer, loss=loss, metrics=metrics, **kwargs
        )
        replica_compile.check(self, kwargs.get("jit_compile"))
        replica_compile.synchronize_statistics(self)

    def compile_from_config(self, config):
        """Compiles as the saved model was compiled.

        Args:
            config: dict from `get_compile_config`.
        """
        self.compile(**keras.saving.deserialize_keras_object(config))
        self.optimizer.build(self.trainable_variables)

    def compute_loss(
        self, x=None, y=None, y_pred=None, sample_weight=None, training=True
    ):
        weight = sample_weight
        if getattr(self.loss, "reduction", None) != "sum":
            weight = replicas.share_weight(sample_weight, y)
        if not isinstance(y_pred, dict):  # evaluate: cross-entropy only
            return super().compute_loss(x, y, y_pred, weight, training)
        predictions = self.output_activation(y_pred["logits"])
        loss = super().compute_loss(x, y, predictions, weight, training)
        if not self.mamc_weight:
            return loss
        terms = replicas.global_terms(
            self.mamc_loss, y, y_pred["embeddings"], sample_weight
        )
        for name, value in terms.items():
            self.term_metrics[name].update_state(replicas.unscaled(value))
        term_weights = getattr(self.mamc_loss, "term_weights", (1.0,))
        weighted = zip(term_weights, terms.values(), strict=True)
        return loss + self.mamc_weight * sum(w * term for w, term in weighted)

    def compute_metrics(self, x, y, y_pred, sample_weight=None):
        training = isinstance(y_pred, dict)
        if training:
            y_pred = self.output_activation(y_pred["logits"])
        logs = super().compute_metrics(x, y, y_pred, sample_weight)
        if not training:
            logs = {k: v for k, v in logs.items() if k not in self.term_metrics}
        return replicas.for_keras(logs)

    def _get_metrics_result_or_logs(self, logs):
        # Keras compares the names: without the terms in them it would report
        # the mean of the replicas' own values, however many images each had.
        results = self.get_metrics_result()
        return {name: results.get(name, value) for name, value in logs.items()}

    if keras.backend.backend() == "tensorflow":

        def train_step(self, data):
            """One optimisation step: equation 12 of the paper."""
            import tensorflow as tf

            x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
            with tf.GradientTape() as tape:
                y_pred = replicas.call(self, x, training=True)
                loss = self.compute_loss(x, y, y_pred, sample_weight, True)
                # mixed_float16 learns nothing without this, silently.
                scaled_loss = self.optimizer.scale_loss(loss)
            weights = self.trainable_weights
            gradients = tape.gradient(scaled_loss, weights)
            if isinstance(self.optimizer, keras.optimizers.LossScaleOptimizer):
                gradients = replicas.agree_on_overflow(gradients)
            if replicas.replica_context():
                replica_optimizer.prepare(self.optimizer)
            self.optimizer.apply(gradients, weights)
            self._log_loss(loss, x)
            return self.compute_metrics(x, y, y_pred, sample_weight)

        def test_step(self, data):
            """Cross-entropy and metrics of a batch."""
            if not replicas.replica_context():
                return super().test_step(data)
            x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
            y_pred = replicas.call(self, x, training=False)
            loss = self.compute_loss(x, y, y_pred, sample_weight, False)
            self._log_loss(loss, x)
            return self.compute_metrics(x, y, y_pred, sample_weight)

        def predict_step(self, data):
            """Predictions of a batch."""
            x, _, _ = keras.utils.unpack_x_y_sample_weight(data)
            return replicas.call(self, x, training=False)

        def _log_loss(self, loss, x):
            import tensorflow as tf

            loss = replicas.total(loss)
            for metric in self.metrics:
                if metric.name == "loss":
                    metric.update_state(loss, sample_weight=tf.shape(x)[0])

        def _maybe_symbolic_build(self, iterator=None, data_batch=None):
            # Keras takes the mean over the replicas' pieces of the first
            # batch, which must then have one size; any piece will do.
            strategy = self.distribute_strategy
            if iterator is not None and strategy.num_replicas_in_sync > 1:
                batch = next(next(pieces for _, _, pieces in iterator))
                data_batch = keras.tree.map_structure(
                    lambda x: strategy.experimental_local_results(x)[0], batch
                )
                iterator = None
            super()._maybe_symbolic_build(iterator, data_batch)
