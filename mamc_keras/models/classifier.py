"""The fine-grained classifier: backbone -> OSME -> logits and embeddings."""

import logging

import keras
import keras_hub

from mamc_keras.mamc_loss import MAMCLoss
from mamc_keras.models.calibrated import CalibrationMixin
from mamc_keras.models.classes import ClassesMixin
from mamc_keras.models.distributed import DistributedMixin
from mamc_keras.models.encoder import MAMCBackbone
from mamc_keras.models.encoder import as_backbone
from mamc_keras.models.inference import InferenceMixin
from mamc_keras.models.objective import ObjectiveMixin
from mamc_keras.models.objective import term_names
from mamc_keras.models.preprocessing import MAMCImageClassifierPreprocessor
from mamc_keras.models.preprocessing import as_preprocessor
from mamc_keras.models.presets import PresetMixin
from mamc_keras.models.quantized import QuantizeMixin
from mamc_keras.models.quantized import policies_of
from mamc_keras.osme import OSME

_log = logging.getLogger("mamc_keras")


@keras.saving.register_keras_serializable(package="mamc_keras")
class MAMCImageClassifier(
    PresetMixin,
    ClassesMixin,
    CalibrationMixin,
    QuantizeMixin,
    DistributedMixin,
    ObjectiveMixin,
    InferenceMixin,
    keras_hub.models.ImageClassifier,
):
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
        use_gates: bool. `False` leaves OSME's gates out.
        mamc_loss: `MAMCLoss`; `None` is `MAMCLoss()`, the shipped default.
            Any other Keras loss of labels `(B,)` and embeddings `(B, P, D)`
            works too.
        mamc_weight: float. `lambda` of the paper; `0` is cross-entropy only.
        dropout: float. Dropout rate before the classifier.
        activation: `None` for logits, `"softmax"` for probabilities from
            `predict`.
        image_size: `(height, width)` in pixels. Needed with `grid_size=None`
            when neither backbone nor preprocessor knows it.
        class_names: sequence of `K` str, saved in the preset.
        head_dtype: dtype policy of OSME and classifier; the backbone's by
            default.
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
    osme_cls = OSME  # A subclass may put attention of its own here.
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
        use_gates=True,
        head_dtype=None,
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
        dtype = keras.dtype_policies.get(
            head_dtype or self.backbone.dtype_policy
        )
        if num_attentions:
            self.osme = self.osme_cls(
                num_attentions,
                embedding_dim,
                reduction_ratio,
                grid_size,
                use_gates,
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
        self.use_gates = use_gates
        self.mamc_loss = MAMCLoss() if mamc_loss is None else mamc_loss
        self.mamc_weight = mamc_weight
        self.dropout = dropout
        self.activation = activation
        self.image_size = tuple(size) if size else None
        self.class_names = tuple(class_names) if class_names else None
        self.head_dtype = head_dtype
        self.term_metrics = {
            name: keras.metrics.Mean(name=name)
            for name in (term_names(self.mamc_loss) if mamc_weight else ())
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

    def get_config(self):
        config = super(keras_hub.models.ImageClassifier, self).get_config()
        head = policies_of(
            [self.osme, self.output_dense], self.concat.dtype_policy
        )
        if head is None and self.head_dtype is not None:
            head = keras.dtype_policies.get(self.head_dtype)
        config.update(
            num_classes=self.num_classes,
            num_attentions=self.num_attentions,
            embedding_dim=self.embedding_dim,
            reduction_ratio=self.reduction_ratio,
            grid_size=self.grid_size,
            use_gates=self.use_gates,
            mamc_loss=keras.losses.serialize(self.mamc_loss),
            mamc_weight=self.mamc_weight,
            dropout=self.dropout,
            activation=self.activation,
            image_size=self.image_size,
            class_names=self.class_names,
            head_dtype=head and keras.dtype_policies.serialize(head),
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
            _log.warning(
                "keras_hub.models.ImageClassifier.from_preset(num_classes=...)"
                " starts OSME afresh. MAMCImageClassifier.from_preset keeps "
                "the trained one."
            )
        return super().from_config(config)
