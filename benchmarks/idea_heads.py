"""Other heads than OSME's own, which benchmarks/ideas.py tries.

Each is `MAMCImageClassifier` with one thing changed. They are trained and
measured, and not saved.
"""

import keras
import numpy as np
from keras import ops

from mamc_keras import OSME
from mamc_keras.models.classifier import MAMCImageClassifier


def neck():
    # A run has few steps; with 0.99 the start would still be in the means.
    return keras.layers.BatchNormalization(
        momentum=0.9, center=False, name="neck"
    )


class NeckOSME(OSME):
    """OSME that carries a batch normalisation for the classifier's input."""

    def build(self, input_shape):
        super().build(input_shape)
        self.neck = neck()
        self.neck.build((None, self.num_attentions * self.embedding_dim))


class TwoMapOSME(OSME):
    """Branches of two stages: `[earlier map, last map] -> (B, 2 P, D)`."""

    def build(self, input_shape):
        earlier, last = input_shape
        super().build(last)
        self.input_spec = None
        self.earlier = OSME(
            self.num_attentions,
            self.embedding_dim,
            self.reduction_ratio,
            self.grid_size,
            self.use_gates,
            name="earlier",
        )
        self.earlier.build(earlier)

    def call(self, inputs):
        earlier, last = inputs
        return ops.concatenate(
            [super().call(last), self.earlier(earlier)], axis=1
        )

    def attention_maps(self, features):
        earlier, last = features
        return ops.concatenate(
            [
                super().attention_maps(last),
                self.earlier.attention_maps(earlier),
            ],
            axis=1,
        )

    def compute_output_shape(self, input_shape):
        branches = 2 * self.num_attentions
        return (input_shape[0][0], branches, self.embedding_dim)


def two_stages(encoder):
    """A model of the last of the narrowest maps, and of the last map.

    In the trained half of EfficientNet-Lite0 that is the end of the stage
    before the last.
    """
    # A layer's own `output` may belong to the network that was cut.
    by_depth = sorted(encoder._nodes_by_depth.items(), reverse=True)
    nodes = [node for _, group in by_depth for node in group]
    maps = [node.output_tensors[0] for node in nodes if not node.is_input]
    fewest = min(x.shape[-1] for x in maps)
    earlier = [x for x in maps if x.shape[-1] == fewest][-1]
    return keras.Model(encoder.input, [earlier, encoder.output])


def with_osme(layer):
    """A classifier class that differs in the attention layer alone."""
    name = f"{layer.__name__}Classifier"
    return type(name, (MAMCImageClassifier,), {"osme_cls": layer})


class NeckClassifier(MAMCImageClassifier):
    """Normalises between what MAMC sees and what the classifier sees."""

    osme_cls = NeckOSME

    @property
    def neck(self):
        return self.osme.neck

    def heads(self, images, training=False):
        embeddings = self.osme(self.backbone(images, training=training))
        x = self.neck(self.concat(embeddings), training=training)
        x = self.output_dropout(x, training=training)
        return {"logits": self.output_dense(x), "embeddings": embeddings}


class PooledNeckClassifier(NeckClassifier):
    """The plain softmax (`num_attentions=0`) on normalised pooled features.

    Its scale learns at the backbone's rate, `NeckOSME`'s at the head's.
    """

    @property
    def neck(self):
        if not hasattr(self, "pooled_neck"):
            self.pooled_neck = neck()
        return self.pooled_neck


class TwoStagesClassifier(MAMCImageClassifier):
    """Branches on the last stage and as many on the one before."""

    osme_cls = TwoMapOSME

    def heads(self, images, training=False):
        maps = two_stages(self.backbone.encoder)(images, training=training)
        embeddings = self.osme(maps)
        x = self.output_dropout(self.concat(embeddings), training=training)
        return {"logits": self.output_dense(x), "embeddings": embeddings}

    def attention_maps(self, images):
        return self.osme.attention_maps(
            two_stages(self.backbone.encoder)(images)
        )


class ClassifierABranch(MAMCImageClassifier):
    """A cross-entropy for each branch alone; their logits are averaged."""

    def heads(self, images, training=False):
        embeddings = self.osme(self.backbone(images, training=training))
        x = self.output_dropout(embeddings, training=training)
        branches = []
        count = embeddings.shape[1]
        for p in range(count):
            # The other branches' part of the classifier's input is zero.
            own = np.zeros((1, count, 1), "float32")
            own[:, p] = 1.0
            branches.append(self.output_dense(self.concat(x * own)))
        return {
            "logits": sum(branches) / count,
            "branches": branches,
            "embeddings": embeddings,
        }

    def compute_loss(self, x=None, y=None, y_pred=None, *args, **kwargs):
        if not isinstance(y_pred, dict):
            return super().compute_loss(x, y, y_pred, *args, **kwargs)
        losses = [
            super(ClassifierABranch, self).compute_loss(
                x, y, {**y_pred, "logits": logits}, *args, **kwargs
            )
            for logits in y_pred["branches"]
        ]
        return sum(losses) / len(losses)
