"""OSME + MAMC on the Grocery Store Dataset, 81 fine classes (MIT).

The official val split chooses the epoch.
Expected accuracy and cost: docs/reproduction.md.

Run:  mamc train recipes/grocery81.py --source FOLDER
Try:  mamc train recipes/grocery81.py --source FOLDER --epochs 1
"""

from mamc_keras import Recipe

recipe = Recipe(
    source="../shared/data/grocery81",
    # Every training photo is used; nothing is chosen on the test split.
    validation_fraction=0.0,
)
