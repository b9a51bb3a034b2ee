"""The signatures of a .tflite file: one photo in, one array out."""

from pathlib import Path

import numpy as np

from mamc_keras.lite.file import HOW_TO_EXPORT
from mamc_keras.lite.file import open_file
from mamc_keras.lite.photo import read_image
from mamc_keras.lite.photo import resize


class File:
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
        function = Function(self._interpreter, signature, self.path, rank)
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


class Function:
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
