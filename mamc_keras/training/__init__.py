"""Training: recipe -> data -> batches -> classifier -> run folder."""

from mamc_keras.training.build import build_model
from mamc_keras.training.build import compile_model
from mamc_keras.training.prepare import describe
from mamc_keras.training.prepare import prepare_data
from mamc_keras.training.run import Run
from mamc_keras.training.run import train

__all__ = [
    "Run",
    "build_model",
    "compile_model",
    "describe",
    "prepare_data",
    "train",
]
