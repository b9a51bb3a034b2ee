"""OSME + MAMC on Oxford-IIIT Pet, 37 breeds of cats and dogs.

Source: tfds:oxford_iiit_pet; official split, 3,680 / 3,669 photos.
Expected accuracy: not measured here (the full set is not on the machine that
measures); no part of it is.
Cost: as every recipe in fast mode, about 3,700 photos are cached
in 6 views once, then 12 epochs of 115 steps; no GPU
needed. The time was not measured here.

Run:  mamc train recipes/oxford_pets.py
Try:  mamc train recipes/oxford_pets.py --epochs 1
"""

from mamc_keras import Recipe

recipe = Recipe(
    source="tfds:oxford_iiit_pet",
    # Every training photo is used; nothing is chosen on the test split.
    validation_fraction=0.0,
)
