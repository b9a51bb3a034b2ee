"""OSME + MAMC on Stanford Cars, 196 models.

Source: tfds:cars196, or the unpacked archive with --source; official split,
8,144 / 8,041 photos.
Expected accuracy: not measured here (the full set is not on the machine that
measures); half of its classes in recipes/cars98.py are, on another
split, see docs/reproduction.md.
Cost: as every recipe in fast mode, about 8,100 photos are cached
in 6 views once, then 12 epochs of about 256 steps; no GPU
needed. The time was not measured here.

Run:  mamc train recipes/cars196.py
Try:  mamc train recipes/cars196.py --epochs 1
"""

from mamc_keras import Recipe

recipe = Recipe(
    source="tfds:cars196",
    # Every training photo is used; nothing is chosen on the test split.
    validation_fraction=0.0,
    # Cars are wide: a centre crop would cut off their ends
    # (benchmarks/resize_choice.csv, on cars98).
    crop_to_aspect_ratio=False,
)
