"""The classifier of a .tflite file, photo by photo."""

import functools

import numpy as np

from mamc_keras.lite.embedder import unit_vector
from mamc_keras.lite.file import HOW_TO_EXPORT
from mamc_keras.lite.file import read_prototypes
from mamc_keras.lite.signatures import File


class Classifier:
    """A classifier in a .tflite file that `export_litert` wrote.

    Args:
        path: str or Path of the .tflite file, in the layout classifier or
            full. Class names and image settings are read from the zip at its
            end, else from a labels.txt beside it; without either, classes are
            called by their number.
        num_threads: int. CPU threads.

    Raises:
        FileNotFoundError: when there is no such file.
        ValueError: when it is no .tflite classifier for uint8 images.

    Example:
    >>> classifier = Classifier("model.tflite")
    >>> classifier.top("photo.jpg", 3)
    [('Laysan Albatross', 0.91), ('Sooty Albatross', 0.06), ...]
    """

    def __init__(self, path, num_threads=2):
        self._file = File(path, num_threads)
        self._classify = self._file.function("classify", rank=2)
        self.image_size = self._file.image_size
        self.crop_to_aspect_ratio = self._file.crop_to_aspect_ratio
        num_classes = self._classify.shape[1]
        names = self._file.class_names
        self.class_names = names or tuple(map(str, range(num_classes)))
        if len(self.class_names) != num_classes:
            raise ValueError(
                "The labels do not belong to this model. Received: "
                f"{len(self.class_names)} names for {num_classes} classes of "
                f"{str(path)!r}. {HOW_TO_EXPORT}"
            )

    def predict(self, image):
        """Gives the probability of each class for one photo.

        Args:
            image: uint8 array `(height, width, 3)`, RGB, of any size; or the
                str or Path of an image file, which Pillow decodes.

        Returns:
            float32 array `(num_classes,)`.

        Raises:
            ValueError: when the array or the file is no such image.
        """
        return self._classify(self._file.pixels(image))

    def top(self, image, k=5):
        """Names the most probable classes of one photo.

        Args:
            image: see `predict`.
            k: int. How many classes.

        Returns:
            list of `(class name, probability)`, the most probable first.
        """
        probabilities = self.predict(image)
        # Stable: among equals the first class wins, as with argmax.
        best = np.argsort(-probabilities, kind="stable")[:k]
        return [(self.class_names[i], float(probabilities[i])) for i in best]

    def attend(self, image):
        """Shows where each branch looks, with a file of the layout full.

        Args:
            image: see `predict`.

        Returns:
            float32 array `(num_attentions, map_height, map_width)`.

        Raises:
            ValueError: when the file has no attention maps in it, or the
                image is none.
        """
        return self._attend(self._file.pixels(image))

    @property
    def has_threshold(self):
        """bool: can `is_unknown` tell photos of none of the classes?"""
        score = self._unknown.get("score")
        if score == "prototype":
            return self._prototypes is not None
        return score == "max_probability"

    def is_unknown(self, image):
        """Says whether a photo perhaps shows none of the classes.

        Args:
            image: see `predict`.

        Returns:
            bool.

        Raises:
            ValueError: when the file cannot tell. With a calibration by
                prototypes the layout full can, with one by the largest
                probability the layout classifier too.
        """
        if not self.has_threshold:
            raise ValueError(
                "This .tflite file cannot tell photos of none of its classes. "
                f"Received: {str(self._file.path)!r}. Train with 100 or more "
                "validation photos and export with --layouts full."
            )
        if self._unknown["score"] == "prototype":
            vector = unit_vector(self._embed(self._file.pixels(image)))
            score = (self._prototypes @ vector).max()
        else:
            # The threshold is of the softmax before the temperature.
            temperature = self._file.settings["temperature"]
            powers = self.predict(image).astype(np.float64) ** temperature
            score = powers.max() / powers.sum()
        return bool(score < self._unknown["threshold"])

    @property
    def _unknown(self):
        return self._file.settings.get("unknown") or {}

    # Looked up at the first photo that needs them, not at every one.

    @functools.cached_property
    def _attend(self):
        return self._file.function("attend", rank=4)

    @functools.cached_property
    def _embed(self):
        return self._file.function("embed")

    @functools.cached_property
    def _prototypes(self):
        return read_prototypes(self._file.path)
