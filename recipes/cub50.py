"""OSME + MAMC on cub50, the first 50 classes of CUB-200-2011.

The photos are whole, so the centre is cut out of them.
Expected accuracy and cost: docs/reproduction.md.

Run:  mamc train recipes/cub50.py --source FOLDER
Try:  mamc train recipes/cub50.py --source FOLDER --epochs 1
"""

from mamc_keras import Recipe

recipe = Recipe(
    source="../shared/data/cub50",
    # Every training photo is used; nothing is chosen on the test split.
    validation_fraction=0.0,
)
