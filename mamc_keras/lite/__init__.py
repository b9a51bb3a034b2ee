"""Runs exported .tflite files with NumPy and ai-edge-litert alone.

Neither TensorFlow nor Keras is imported: this is the part of the package for
small computers. Photos of any size are cut and shrunk here exactly as in
training, so that a large photo gets the scores that Keras gives it.
"""

from mamc_keras.lite.classifier import Classifier
from mamc_keras.lite.embedder import Embedder
from mamc_keras.lite.file import LABELS_FILE
from mamc_keras.lite.file import SETTINGS_FILE
from mamc_keras.lite.photo import read_image
from mamc_keras.lite.photo import resize

__all__ = [
    "LABELS_FILE",
    "SETTINGS_FILE",
    "Classifier",
    "Embedder",
    "read_image",
    "resize",
]
