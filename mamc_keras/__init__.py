"""Weakly supervised fine-grained image recognition for Keras 3.

`import mamc_keras` loads nothing heavy: every name comes with its first use.
"""

import importlib

__version__ = "0.1.0"

_HOMES = {
    "OSME": "mamc_keras.osme",
    "MAMCLoss": "mamc_keras.mamc_loss",
    "mamc_terms": "mamc_keras.mamc_loss",
    "MAMCImageClassifier": "mamc_keras.models",
    "NPairPlan": "mamc_keras.data.n_pairs",
    "Recipe": "mamc_keras.recipe",
    "Run": "mamc_keras.training",
    "train": "mamc_keras.training",
}
__all__ = ["__version__", *_HOMES]


def __getattr__(name):
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__():
    return sorted({*globals(), *__all__})
