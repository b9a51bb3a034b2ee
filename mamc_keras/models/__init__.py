"""The model classes; importing this registers them with Keras and KerasHub."""

from mamc_keras.models.classifier import MAMCImageClassifier
from mamc_keras.models.encoder import MAMCBackbone
from mamc_keras.models.preprocessing import MAMCImageClassifierPreprocessor
from mamc_keras.models.preprocessing import MAMCImageConverter

__all__ = [
    "MAMCBackbone",
    "MAMCImageClassifier",
    "MAMCImageClassifierPreprocessor",
    "MAMCImageConverter",
]
