"""A score that is measured beside those of the package, and not shipped.

It needs a matrix of the embedding's size squared: 4 MB for 2 x 512 numbers.
"""

import numpy as np
from sklearn.covariance import LedoitWolf

from mamc_keras.evaluation.retrieval import normalised


class Mahalanobis:
    """Distance to the nearest class mean, in the shape of all classes' spread.

    One covariance for all classes, shrunk as Ledoit and Wolf do, because there
    are fewer photos than numbers in an embedding.

    Args:
        embeddings: float array `(n, num_attentions, embedding_dim)` of
            training photos.
        labels: int array `(n,)`, of which every class has a photo.
        num_classes: int.

    Reference:

    - [Lee et al., 2018](https://arxiv.org/abs/1807.03888)
    """

    def __init__(self, embeddings, labels, num_classes):
        vectors = normalised(embeddings).astype(np.float64)
        labels = np.asarray(labels)
        self.means = np.stack(
            [vectors[labels == k].mean(axis=0) for k in range(num_classes)]
        )
        spread = LedoitWolf(assume_centered=True)
        self.precision = spread.fit(vectors - self.means[labels]).precision_

    def __call__(self, embeddings):
        """Scores photos.

        Args:
            embeddings: float array `(n, num_attentions, embedding_dim)`.

        Returns:
            float64 array `(n,)`: minus the squared distance.
        """
        vectors = normalised(embeddings).astype(np.float64)
        to_all = vectors @ self.precision @ self.means.T
        own = np.einsum("nd,nd->n", vectors @ self.precision, vectors)
        means = np.einsum("kd,kd->k", self.means @ self.precision, self.means)
        return -(own[:, None] - 2 * to_all + means).min(axis=1)
