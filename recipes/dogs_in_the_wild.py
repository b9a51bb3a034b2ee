"""OSME + MAMC on Dogs-in-the-Wild, 362 breeds.

Source: the set of the paper's authors; give the folder that holds
annotation/train.txt and annotation/val.txt with --source. 299,458 photos.
Whoever trains on a part of ImageNet's dogs too: the backbone saw some breeds.
Expected accuracy: not measured here (the full set is not on the machine that
measures); no part of it is.
Cost: far too large for the fast mode's cache at 6 views (cache_gb), so every
stage is trained: a GPU is needed.

Run:  mamc train recipes/dogs_in_the_wild.py
Try:  mamc train recipes/dogs_in_the_wild.py --epochs 1
"""

from mamc_keras import Recipe

recipe = Recipe(
    source="Dogs-in-the-Wild",
    classes_per_batch=32,
    fast=False,
)
