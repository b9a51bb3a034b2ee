"""The embedding of a photo, from a .tflite file."""

import numpy as np

from mamc_keras.lite.signatures import File


class Embedder:
    """The embedding of a photo, from a .tflite file of embedder or full.

    Args:
        path: str or Path of the .tflite file.
        num_threads: int. CPU threads.

    Raises:
        FileNotFoundError: when there is no such file.
        ValueError: when it is no .tflite embedder for uint8 images.
    """

    def __init__(self, path, num_threads=2):
        self._file = File(path, num_threads)
        self._embed = self._file.function("embed")
        self.image_size = self._file.image_size

    def embed(self, image):
        """Gives the embedding of one photo, for comparison by dot product.

        Args:
            image: see `Classifier.predict`.

        Returns:
            float32 array `(num_attentions * embedding_dim,)` of length 1:
            every branch L2-normalised, then all of them.

        Raises:
            ValueError: when the array or the file is no such image.
        """
        return unit_vector(self._embed(self._file.pixels(image)))


def unit_vector(embeddings):
    """Joins the branches of one photo, each L2-normalised first.

    Args:
        embeddings: float32 array `(num_attentions, embedding_dim)`; joined
            already is fine too.

    Returns:
        float32 array `(num_attentions * embedding_dim,)` of length 1.
    """
    lengths = np.linalg.norm(embeddings, axis=-1, keepdims=True)
    vector = (embeddings / np.maximum(lengths, 1e-12)).ravel()
    return vector / max(np.linalg.norm(vector), 1e-12)
