"""What a trained classifier answers, beside `predict`."""

import numpy as np
from keras import ops


class InferenceMixin:
    """`probabilities`, `embed` and `attend` of `MAMCImageClassifier`."""

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

        Logits are divided by the stored temperature, when there is one;
        `predict` gives them as they are.

        Args:
            images: `(batch_size, height, width, 3)`, values 0..255.

        Returns:
            float32 array `(batch_size, num_classes)`; rows sum to 1.
        """
        return self._in_batches(
            lambda x: ops.softmax(
                ops.cast(self.heads(x)["logits"], "float32")
                / self.softmax_temperature,
                axis=-1,
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

    def evidence(self, images, classes=None, against=None):
        """Shows what each place adds to the logit of a class, by branch.

        A softmax does not change when all logits grow alike, so the logit
        counts from the mean of all classes. The maps of all branches add up
        to it, biases left out. With `against` they add up to the difference of
        two logits: why this class and not that one.

        Args:
            images: `(batch_size, height, width, 3)`, values 0..255.
            classes: int array `(batch_size,)`; the most probable by default.
            against: int array `(batch_size,)`, or `None`.

        Returns:
            float32 array `(batch_size, num_attentions, map_height,
            map_width)` of any sign; one map for a plain softmax.
        """
        if classes is None:
            classes = self.probabilities(images).argmax(axis=1)
        kernel = ops.convert_to_numpy(self.output_dense.kernel)
        others = kernel.mean(axis=1)
        if against is not None:
            others = kernel.T[np.asarray(against)]
        rows = kernel.T[np.asarray(classes)] - others
        rows = rows.reshape(len(rows), max(self.num_attentions, 1), -1)
        maps = []
        for i in range(0, len(rows), 32):
            inputs = self.preprocess(np.asarray(images)[i : i + 32])
            features = self.backbone(inputs, training=False)
            part = ops.cast(rows[i : i + 32], features.dtype)
            if self.num_attentions:
                maps.append(self.osme.evidence(features, part))
            else:
                cells = features.shape[1] * features.shape[2]
                added = ops.einsum("bhwc,bpc->bphw", features, part)
                maps.append(added / cells)
        return np.concatenate(
            [ops.convert_to_numpy(ops.cast(m, "float32")) for m in maps]
        )

    def attention_maps(self, images):
        """Heat map of each branch for preprocessed images, as a tensor."""
        features = self.backbone(images, training=False)
        if self.num_attentions:
            return self.osme.attention_maps(features)
        return ops.mean(ops.relu(features), axis=-1)[:, None]
