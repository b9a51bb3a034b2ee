"""Runs an exported .tflite classifier with NumPy and ai-edge-litert alone.

Neither TensorFlow nor Keras is imported: this is the part of the package for
small computers. Photos of any size are cut and shrunk here exactly as in
training, so that a large photo gets the scores that Keras gives it.
"""

import json
import zipfile
from pathlib import Path

import numpy as np

SETTINGS_FILE = "mamc.json"
LABELS_FILE = "labels.txt"
_HOW_TO_EXPORT = "Export one with `mamc export` or `export_litert`."


class Classifier:
    """A classifier in a .tflite file that `export_litert` wrote.

    Args:
        path: str or Path of the .tflite file. Class names and image settings
            are read from the zip at its end, else from a labels.txt beside
            it; without either, classes are called by their number.
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
        path = Path(path)
        contents = _read_model(path)
        self._interpreter = _interpreter(contents, path, num_threads)
        self._input, self._output = _classifier_tensors(self._interpreter, path)
        settings, names = _read_settings(path)
        self.image_size = tuple(int(n) for n in self._input["shape"][1:3])
        self.crop_to_aspect_ratio = settings.get("crop_to_aspect_ratio", True)
        num_classes = int(self._output["shape"][1])
        self.class_names = names or tuple(map(str, range(num_classes)))
        if len(self.class_names) != num_classes:
            raise ValueError(
                "The labels do not belong to this model. Received: "
                f"{len(self.class_names)} names for {num_classes} classes of "
                f"{str(path)!r}. {_HOW_TO_EXPORT}"
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
        pixels = resize(image, self.image_size, self.crop_to_aspect_ratio)
        self._interpreter.set_tensor(self._input["index"], pixels[None])
        self._interpreter.invoke()
        return self._interpreter.get_tensor(self._output["index"])[0]

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


def resize(image, image_size, crop_to_aspect_ratio=True):
    """Cuts and shrinks a photo as `keras.layers.Resizing` does.

    Bilinear, and antialiased: each new pixel is the mean of the old ones
    under a triangle that is as wide as the shrinking needs.

    Args:
        image: uint8 array `(any height, any width, channels)`.
        image_size: `(height, width)` in pixels.
        crop_to_aspect_ratio: bool. Cut around the centre to the shape of
            `image_size` first, or else squash the whole photo.

    Returns:
        uint8 array `(height, width, channels)`.
    """
    if crop_to_aspect_ratio:
        image = _crop(image, *image_size)
    if image.shape[:2] == tuple(image_size):
        return np.ascontiguousarray(image)
    rows = _shrink_rows(image, image_size[0])
    both = _shrink_rows(rows.transpose(1, 0, 2), image_size[1])
    return np.clip(np.rint(both.transpose(1, 0, 2)), 0, 255).astype(np.uint8)


def read_image(path):
    """Decodes a photo to RGB with Pillow, as training decodes it.

    A JPEG is turned upright as its EXIF tag says; transparency is dropped.

    Args:
        path: str or Path.

    Returns:
        uint8 array `(height, width, 3)`.

    Raises:
        FileNotFoundError: when there is no such file.
        ValueError: when it is no image.
    """
    from PIL import Image
    from PIL import ImageOps

    if not Path(path).is_file():
        raise FileNotFoundError(
            f"There is no such photo. Received: {str(path)!r}."
        )
    try:
        with Image.open(path) as image:
            if image.format == "JPEG":
                image = ImageOps.exif_transpose(image)
            if image.mode.startswith("I;16"):
                high_bytes = np.asarray(image) >> 8
                image = Image.fromarray(high_bytes.astype(np.uint8))
            return np.asarray(image.convert("RGB"))
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise ValueError(
            f"This file is no image that can be read. Received: {str(path)!r}. "
            "Save it again as JPEG or PNG."
        ) from error


def _crop(image, height, width):
    """The largest centred part of the shape `height : width`."""
    # Whole pixels the way Keras rounds them, in float32 as there.
    old_height, old_width = image.shape[:2]
    new_height = int(np.float32(old_width * height) / np.float32(width))
    new_width = int(np.float32(old_height * width) / np.float32(height))
    new_height = min(max(new_height, 1), old_height)
    new_width = min(max(new_width, 1), old_width)
    top = (old_height - new_height) // 2
    left = (old_width - new_width) // 2
    return image[top : top + new_height, left : left + new_width]


def _shrink_rows(image, size):
    """`(n, m, channels)` of any type to float32 `(size, m, channels)`."""
    if len(image) == size:
        return image.astype(np.float32)
    first, weights = _triangles(len(image), size)
    result = np.zeros((size, *image.shape[1:]), np.float32)
    # One old row of every new one at a time, in TensorFlow's order of sums:
    # then even ties round alike. A large photo is never all float32.
    for k in range(weights.shape[1]):
        rows = image[np.minimum(first + k, len(image) - 1)]
        result += weights[:, k, None, None] * rows.astype(np.float32)
    return result


def _triangles(old_size, size):
    """Which old pixels a new one is made of, with TensorFlow's roundings.

    Returns the number of the first old pixel, int `(size,)`, and the weights
    from there on, float32 `(size, most pixels of one)`; the rest is 0.
    """
    one, half = np.float32(1), np.float32(0.5)
    step = one / (np.float32(size) / np.float32(old_size))
    radius = max(step, one)  # old pixels on each side of a new one
    centres = (np.arange(size, dtype=np.float32) + half) * step
    first = np.ceil(centres - radius - half).astype(int).clip(0)
    last = np.floor(centres + radius - half).astype(int)
    last = last.clip(None, old_size - 1)
    pixels = first[:, None] + np.arange((last - first).max() + 1)
    distances = pixels.astype(np.float32) + half - centres[:, None]
    weights = np.maximum(one - np.abs(distances * (one / radius)), 0)
    weights[pixels > last[:, None]] = 0
    totals = np.zeros(size, np.float32)
    for column in weights.T:
        totals += column
    return first, weights * (one / totals)[:, None]


def _read_model(path):
    if not path.is_file():
        raise FileNotFoundError(
            f"There is no such model file. Received: {str(path)!r}. "
            f"{_HOW_TO_EXPORT}"
        )
    contents = path.read_bytes()
    if contents[4:8] != b"TFL3":
        raise ValueError(
            f"This is no .tflite file. Received: {str(path)!r}. "
            f"{_HOW_TO_EXPORT}"
        )
    return contents


def _interpreter(contents, path, num_threads):
    from ai_edge_litert.interpreter import Interpreter

    try:
        interpreter = Interpreter(
            model_content=contents, num_threads=num_threads
        )
        interpreter.allocate_tensors()
    except (ValueError, RuntimeError) as error:
        raise ValueError(
            f"This .tflite file is damaged, or this runtime lacks one of its "
            f"operations. Received: {str(path)!r} ({error}). {_HOW_TO_EXPORT}"
        ) from error
    return interpreter


def _classifier_tensors(interpreter, path):
    """Returns the details of the one input and the one output."""
    inputs = interpreter.get_input_details()
    outputs = interpreter.get_output_details()
    shapes = [tuple(map(int, t["shape"])) for t in (*inputs, *outputs)]
    types = [np.dtype(t["dtype"]).name for t in (*inputs, *outputs)]
    if (
        types != ["uint8", "float32"]
        or len(shapes[0]) != 4
        or shapes[0][::3] != (1, 3)
        or len(shapes[1]) != 2
    ):
        tensors = ", ".join(
            f"{t} {s}" for t, s in zip(types, shapes, strict=True)
        )
        raise ValueError(
            "A classifier takes one uint8 image (1, height, width, 3) and "
            "gives float32 probabilities (1, classes). Received: "
            f"{str(path)!r} with the tensors {tensors}. {_HOW_TO_EXPORT}"
        )
    return inputs[0], outputs[0]


def _read_settings(path):
    """Returns the settings and class names, as far as the file has them."""
    settings, labels = {}, None
    beside = path.with_name(LABELS_FILE)
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            files = archive.namelist()
            if SETTINGS_FILE in files:
                settings = json.loads(archive.read(SETTINGS_FILE))
            if LABELS_FILE in files:
                labels = archive.read(LABELS_FILE).decode("utf-8")
    if labels is None and beside.is_file():
        labels = beside.read_text(encoding="utf-8")
    # Lines end with \n alone: a name may hold any other line separator.
    names = tuple(labels.removesuffix("\n").split("\n")) if labels else None
    return settings, names
