"""The fine-grained classifier: backbone -> OSME -> logits and embeddings."""

import keras
import keras_hub
import numpy as np
from keras import ops

from mamc_keras.mamc_loss import MAMCLoss
from mamc_keras.models import replicas
from mamc_keras.models.encoder import MAMCBackbone
from mamc_keras.models.encoder import as_backbone
from mamc_keras.models.preprocessing import MAMCImageClassifierPreprocessor
from mamc_keras.models.preprocessing import as_preprocessor
from mamc_keras.models.presets import PresetMixin
from mamc_keras.osme import OSME

TERMS = ("sasc", "sadc", "dasc")


@keras.saving.register_keras_serializable(package="mamc_keras")
class MAMCImageClassifier(PresetMixin, keras_hub.models.ImageClassifier):
    """Image classifier with OSME attention branches, trained with MAMC.

    The objective of `fit` is cross-entropy plus
    `mamc_weight * (SASC + SADC + DASC)`; each term is in the logs. Feed it
    N-pair batches (several classes, at least two images of each). `evaluate`
    on plain batches reports the cross-entropy alone.

    Args:
        backbone: any `keras.Model` with a 4-D output: KerasHub, keras-cv,
            `keras.applications` or your own.
        num_classes: int. Number of classes, `K`.
        preprocessor: KerasHub image preprocessor or converter, a dict of
            `scale`, `offset`, `image_size`, another callable, or `None`: the
            images already suit the backbone.
        num_attentions: int. Number of branches, `P`. `0` builds the plain
            softmax classifier on pooled features, the baseline to beat.
        embedding_dim: int. Size of each branch's embedding, `D`.
        reduction_ratio: int. Bottleneck of the gates, `r`.
        grid_size: int or `None`. Cells that the map is pooled to before the
            projection; `None` is the paper's head on the whole map.
        mamc_loss: `MAMCLoss`; `None` is `MAMCLoss()`, the shipped default.
        mamc_weight: float. `lambda` of the paper; `0` is cross-entropy only.
        dropout: float. Dropout rate before the classifier.
        activation: `None` for logits, `"softmax"` for probabilities from
            `predict`.
        image_size: `(height, width)` in pixels. Needed with `grid_size=None`
            when neither backbone nor preprocessor knows it.
        class_names: sequence of `K` str, saved in the preset.
        **kwargs: `name`, `compile`, see `keras_hub.models.Task`.

    Input shape:
        `(batch_size, height, width, 3)`, values 0..255 with a preprocessor.

    Output shape:
        `(batch_size, num_classes)`. Only with `training=True` the call returns
        `{"logits": (B, K), "embeddings": (B, P, D)}`, which the loss needs.

    Raises:
        ValueError: on a class name count other than `num_classes`, or an
            unusable backbone.

    Reference:

    - [Sun et al., 2018](https://arxiv.org/abs/1806.05372)
    """

    backbone_cls = MAMCBackbone
    preprocessor_cls = MAMCImageClassifierPreprocessor

    def __init__(
        self,
        backbone,
        num_classes,
        preprocessor=None,
        num_attentions=2,
        embedding_dim=512,
        reduction_ratio=16,
        grid_size=1,
        mamc_loss=None,
        mamc_weight=0.5,
        dropout=0.0,
        activation=None,
        image_size=None,
        class_names=None,
        **kwargs,
    ):
        if class_names is not None and len(class_names) != num_classes:
            raise ValueError(
                "There must be one class name for each class. Received: "
                f"{len(class_names)} class_names and "
                f"num_classes={num_classes}."
            )
        if num_attentions == 0 and mamc_weight:
            mamc_weight = 0.0  # A plain softmax has no attentions to compare.
        # === Layers ===
        self.backbone = as_backbone(backbone)
        self.preprocessor = as_preprocessor(preprocessor, image_size)
        dtype = self.backbone.dtype_policy
        if num_attentions:
            self.osme = OSME(
                num_attentions,
                embedding_dim,
                reduction_ratio,
                grid_size,
                dtype=dtype,
                name="osme",
            )
        else:
            self.osme = keras.Sequential(
                [
                    keras.layers.GlobalAveragePooling2D(dtype=dtype),
                    keras.layers.Reshape((1, -1), dtype=dtype),
                ],
                name="pooled",
            )
        self.concat = keras.layers.Flatten(dtype=dtype, name="concat")
        self.output_dropout = keras.layers.Dropout(
            dropout, dtype=dtype, name="output_dropout"
        )
        self.output_dense = keras.layers.Dense(
            num_classes, dtype=dtype, name="predictions"
        )
        # Softmax in float16 would round small probabilities to zero.
        self.output_activation = keras.layers.Activation(
            activation, dtype="float32", name="activation"
        )

        # === Functional Model ===
        size = image_size or getattr(
            getattr(self.preprocessor, "image_converter", None),
            "image_size",
            None,
        )
        input_shape = tuple(self.backbone.input_shape[1:])
        if size is None and None not in input_shape[:2]:
            size = input_shape[:2]
        if grid_size is None and num_attentions and size is not None:
            # The flattened head is built for one map, so the size is fixed.
            input_shape = (*size, input_shape[-1])
        inputs = keras.Input(
            input_shape, dtype=self.backbone.input.dtype, name="image"
        )
        logits = self.heads(inputs)["logits"]
        super(keras_hub.models.ImageClassifier, self).__init__(
            inputs=inputs, outputs=self.output_activation(logits), **kwargs
        )

        # === Config ===
        self.num_classes = num_classes
        self.num_attentions = num_attentions
        self.embedding_dim = embedding_dim
        self.reduction_ratio = reduction_ratio
        self.grid_size = grid_size
        self.mamc_loss = MAMCLoss() if mamc_loss is None else mamc_loss
        self.mamc_weight = mamc_weight
        self.dropout = dropout
        self.activation = activation
        self.image_size = tuple(size) if size else None
        self.class_names = tuple(class_names) if class_names else None
        self.term_metrics = {
            name: keras.metrics.Mean(name=name)
            for name in (TERMS if mamc_weight else ())
        }

    def heads(self, images, training=False):
        """Runs backbone, OSME and classifier on preprocessed images.

        Args:
            images: tensor `(batch_size, height, width, channels)` as the
                backbone wants it.
            training: bool.

        Returns:
            dict of `"logits"` `(B, K)` and `"embeddings"` `(B, P, D)`.
        """
        features = self.backbone(images, training=training)
        embeddings = self.osme(features)
        x = self.output_dropout(self.concat(embeddings), training=training)
        return {"logits": self.output_dense(x), "embeddings": embeddings}

    def call(self, inputs, training=None, mask=None):
        if training:
            return self.heads(inputs, training=True)
        return super().call(inputs, training=training, mask=mask)

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
        """
        if isinstance(optimizer, str) and optimizer == "auto":
            optimizer = keras.optimizers.AdamW(3e-4)
        if isinstance(loss, str) and loss == "auto":
            loss = keras.losses.SparseCategoricalCrossentropy(
                from_logits=getattr(self, "activation", None) != "softmax"
            )
        if isinstance(metrics, str) and metrics == "auto":
            metrics = [
                keras.metrics.SparseCategoricalAccuracy(name="accuracy")
            ]
        super().compile(
            optimizer=optimizer, loss=loss, metrics=metrics, **kwargs
        )

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
        if not isinstance(y_pred, dict):  # evaluate: cross-entropy only
            return super().compute_loss(x, y, y_pred, sample_weight, training)
        predictions = self.output_activation(y_pred["logits"])
        loss = super().compute_loss(x, y, predictions, sample_weight, training)
        if not self.mamc_weight:
            return loss
        terms = replicas.global_terms(
            self.mamc_loss, y, y_pred["embeddings"], sample_weight
        )
        for name, value in terms.items():
            self.term_metrics[name].update_state(replicas.unscaled(value))
        weighted = zip(self.mamc_loss.term_weights, terms.values())
        return loss + self.mamc_weight * sum(w * term for w, term in weighted)

    def compute_metrics(self, x, y, y_pred, sample_weight=None):
        training = isinstance(y_pred, dict)
        if training:
            y_pred = self.output_activation(y_pred["logits"])
        logs = super().compute_metrics(x, y, y_pred, sample_weight)
        if not training:
            logs = {k: v for k, v in logs.items() if k not in TERMS}
        return logs

    if keras.backend.backend() == "tensorflow":

        def train_step(self, data):
            """One optimisation step: equation 12 of the paper."""
            import tensorflow as tf

            x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
            with tf.GradientTape() as tape:
                y_pred = self(x, training=True)
                loss = self.compute_loss(x, y, y_pred, sample_weight, True)
                # mixed_float16 learns nothing without this, silently.
                scaled_loss = self.optimizer.scale_loss(loss)
            weights = self.trainable_weights
            gradients = tape.gradient(scaled_loss, weights)
            if isinstance(self.optimizer, keras.optimizers.LossScaleOptimizer):
                gradients = replicas.agree_on_overflow(gradients)
            self.optimizer.apply(gradients, weights)
            for metric in self.metrics:
                if metric.name == "loss":
                    metric.update_state(
                        replicas.unscaled(loss), sample_weight=tf.shape(x)[0]
                    )
            return self.compute_metrics(x, y, y_pred, sample_weight)

    def preprocess(self, images):
        """Turns photos into the backbone's input.

        Args:
            images: `(batch_size, height, width, 3)`, values 0..255.

        Returns:
            Tensor `(batch_size, *image_size, 3)`.
        """
        images = ops.convert_to_tensor(np.asarray(images), dtype="float32")
        return self.preprocessor(images) if self.preprocessor else images

    def _in_batches(self, function, images, batch_size=32):
        parts = [
            ops.convert_to_numpy(
                function(self.preprocess(images[i : i + batch_size]))
            )
            for i in range(0, len(images), batch_size)
        ]
        return np.concatenate(parts).astype("float32")

    def probabilities(self, images):
        """Gives the probability of each class, whatever `activation` is.

        Args:
            images: `(batch_size, height, width, 3)`, values 0..255.

        Returns:
            float32 array `(batch_size, num_classes)`; rows sum to 1.
        """
        return self._in_batches(
            lambda x: ops.softmax(
                ops.cast(self.heads(x)["logits"], "float32"), axis=-1
            ),
            images,
        )

    def embed(self, images):
        """Gives the embedding of each branch.

        Args:
            images: `(batch_size, height, width, 3)`, values 0..255.

        Returns:
            float32 array `(batch_size, num_attentions, embedding_dim)`.
        """
        return self._in_batches(lambda x: self.heads(x)["embeddings"], images)

    def attend(self, images):
        """Shows where each branch looks: the channel mean of relu(S^p).

        Args:
            images: `(batch_size, height, width, 3)`, values 0..255.

        Returns:
            float32 array `(batch_size, num_attentions, map_height,
            map_width)`; one map, the plain mean, for a plain softmax.
        """
        return self._in_batches(self.attention_maps, images)

    def attention_maps(self, images):
        """Heat map of each branch for preprocessed images, as a tensor."""
        features = self.backbone(images, training=False)
        if self.num_attentions:
            return self.osme.attention_maps(features)
        return ops.mean(ops.relu(features), axis=-1)[:, None]

    def get_config(self):
        config = super(keras_hub.models.ImageClassifier, self).get_config()
        config.update(
            num_classes=self.num_classes,
            num_attentions=self.num_attentions,
            embedding_dim=self.embedding_dim,
            reduction_ratio=self.reduction_ratio,
            grid_size=self.grid_size,
            mamc_loss=keras.losses.serialize(self.mamc_loss),
            mamc_weight=self.mamc_weight,
            dropout=self.dropout,
            activation=self.activation,
            image_size=self.image_size,
            class_names=self.class_names,
        )
        return config

    @classmethod
    def from_config(cls, config):
        config = dict(config)
        if isinstance(config.get("mamc_loss"), dict):
            config["mamc_loss"] = keras.losses.deserialize(config["mamc_loss"])
        names = config.get("class_names")
        if names and len(names) != config["num_classes"]:
            # KerasHub's from_preset(num_classes=k) changes only the number.
            config["class_names"] = None
        return super().from_config(config)
