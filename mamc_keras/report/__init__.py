"""One page about a run: how good, what is wrong, where it looked, what next."""

from mamc_keras.report.write import report

__all__ = ["report"]
