"""Photos that look like a photo, in a folder of up to a million."""

from mamc_keras.search.build import build_index
from mamc_keras.search.find import search
from mamc_keras.search.index import Index

__all__ = ["Index", "build_index", "search"]
