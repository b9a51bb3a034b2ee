"""OSME + MAMC on CUB-200-2011, 200 bird species.

Source: tfds:caltech_birds2011, or the unpacked CUB_200_2011 folder with
--source; official split, 5,994 / 5,794 photos.
Expected accuracy: not measured here (the full set is not on the machine that
measures); the quarter of it in recipes/cub50.py is, see
docs/reproduction.md.
Cost: as every recipe in fast mode, about 6,000 photos are cached
in 6 views once, then 12 epochs of 188 steps; no GPU
needed. The time was not measured here.

Run:  mamc train recipes/cub200.py
Try:  mamc train recipes/cub200.py --epochs 1
"""

from mamc_keras import Recipe

recipe = Recipe(
    source="tfds:caltech_birds2011",
    # Every training photo is used; nothing is chosen on the test split.
    validation_fraction=0.0,
)
