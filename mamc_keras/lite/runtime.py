"""The classifier and the embedder of a .tflite file, photo by photo."""

import functools
from pathlib import Path

import numpy as np

from mamc_keras.lite.file import HOW_TO_EXPORT
from mamc_keras.lite.file import open_file
from mamc_keras.lite.file import read_prototypes
from mamc_keras.lite.photo import read_image
from mamc_keras.lite.photo import resize


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
        self._file = _File(path, num_threads)
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
        return self._threshold is not None and self._prototypes is not None

    def is_unknown(self, image):
        """Says whether a photo perhaps shows none of the classes.

        Args:
            image: see `predict`.

        Returns:
            bool.

        Raises:
            ValueError: when the file cannot tell; the layout full of a
                model with a calibration can.
        """
        if not self.has_threshold:
            raise ValueError(
                "This .tflite file cannot tell photos of none of its classes. "
                f"Received: {str(self._file.path)!r}. Train with 100 or more "
                "validation photos and export with --layouts full."
            )
        vector = unit_vector(self._embed(self._file.pixels(image)))
        return bool((self._prototypes @ vector).max() < self._threshold)

    @property
    def _threshold(self):
        return (self._file.settings.get("unknown") or {}).get("threshold")

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
        self._file = _File(path, num_threads)
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


class _File:
    """What every file has: signatures that take one image."""

    def __init__(self, path, num_threads):
        self.path = path
        self._interpreter, self.settings, self.class_names = open_file(
            path, num_threads
        )
        size = self.settings.get("image_size")
        self.image_size = size and tuple(map(int, size))
        self.crop_to_aspect_ratio = self.settings.get(
            "crop_to_aspect_ratio", True
        )

    def function(self, signature, rank=None):
        signatures = self._interpreter.get_signature_list()
        if signature not in signatures:
            raise ValueError(
                f"This .tflite file has no signature {signature!r}. Received: "
                f"{str(self.path)!r} with {', '.join(signatures) or 'none'}. "
                "`mamc export --layouts full` writes all of them."
            )
        function = _Function(self._interpreter, signature, self.path, rank)
        self.image_size = self.image_size or function.image_size
        if function.image_size is None:  # The file resizes photos itself.
            self.image_size = None
        return function

    def pixels(self, image):
        if isinstance(image, str | Path):
            image = read_image(image)
        image = np.asarray(image)
        if image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
            raise ValueError(
                "An image is an array (height, width, 3), RGB. Received: "
                f"shape {image.shape}. Give one photo at a time; repeat the "
                "channel of a grey one three times."
            )
        if image.dtype != np.uint8:
            raise ValueError(
                "Pixels are whole numbers from 0 to 255. Received: dtype "
                f"{image.dtype}. Convert the image to uint8."
            )
        if self.image_size:
            image = resize(image, self.image_size, self.crop_to_aspect_ratio)
        return image[None]


class _Function:
    """One signature: an image to the first row of its one output."""

    def __init__(self, interpreter, signature, path, rank):
        self._run = interpreter.get_signature_runner(signature)
        inputs = self._run.get_input_details()
        outputs = self._run.get_output_details()
        tensors = (*inputs.values(), *outputs.values())
        types = [np.dtype(t["dtype"]).name for t in tensors]
        shapes = [tuple(map(int, t["shape_signature"])) for t in tensors]
        if (
            types != ["uint8", "float32"]
            or len(shapes[0]) != 4
            or shapes[0][::3] != (1, 3)
            or rank not in (None, len(shapes[1]))
        ):
            found = ", ".join(
                f"{t} {s}" for t, s in zip(types, shapes, strict=True)
            )
            raise ValueError(
                f"{signature!r} takes one uint8 image (1, height, width, 3) "
                "and gives float32 numbers. Received: "
                f"{str(path)!r} with the tensors {found}. {HOW_TO_EXPORT}"
            )
        (self._input,), (self._output,) = inputs, outputs
        self.shape = shapes[1]
        size = shapes[0][1:3]
        self.image_size = None if -1 in size else size

    def __call__(self, image):
        return self._run(**{self._input: image})[self._output][0]
