"""OSME + MAMC on Stanford Dogs, 120 breeds.

Source: tfds:stanford_dogs, or the unpacked archive with --source; official
split, 12,000 / 8,580 photos. They are part of ImageNet, on which the backbone
was trained: a score here is inflated.
Expected accuracy: not measured here (the full set is not on the machine that
measures); no part of it is.
Cost: as every recipe in fast mode, about 12,000 photos are cached
in 6 views once, then 12 epochs of 375 steps; no GPU
needed. The time was not measured here.

Run:  mamc train recipes/stanford_dogs.py
Try:  mamc train recipes/stanford_dogs.py --epochs 1
"""

from mamc_keras import Recipe

recipe = Recipe(
    source="tfds:stanford_dogs",
    # Every training photo is used; nothing is chosen on the test split.
    validation_fraction=0.0,
)
