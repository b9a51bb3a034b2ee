"""OSME + MAMC on Oxford Flowers, 102 species.

Source: tfds:oxford_flowers102; official split, 1,020 / 1,020 / 6,149 photos,
ten a class: the official val split chooses the epoch.
Expected accuracy: not measured here (the full set is not on the machine that
measures); no part of it is.
Cost: as every recipe in fast mode, about 1,000 photos are cached
in 6 views once, then 30 epochs of 32 steps; no GPU
needed. The time was not measured here.

Run:  mamc train recipes/flowers102.py
Try:  mamc train recipes/flowers102.py --epochs 1
"""

from mamc_keras import Recipe

recipe = Recipe(
    source="tfds:oxford_flowers102",
    # Twelve epochs of so few photos would be 384 steps.
    epochs=30,
)
