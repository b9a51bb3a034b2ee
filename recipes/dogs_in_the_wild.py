"""OSME + MAMC on Dogs-in-the-Wild, a set of the paper's authors.

Source: we know of no working download. Whoever has the photos gives, with
--source, the folder that holds annotation/train.txt and annotation/test.txt (a
path and a label a line); photos of a val.txt choose the epoch and are no test.
ImageNet, on which the backbone was trained, has dogs too: a score may be
inflated.
Expected accuracy: not measured here; no part of the set is on the machine that
measures.
Cost: not measured here. The set is said to be too large for the fast mode's
cache (cache_gb), so every stage is trained: a GPU is needed.

Run:  mamc train recipes/dogs_in_the_wild.py
Try:  mamc train recipes/dogs_in_the_wild.py --epochs 1
"""

from mamc_keras import Recipe

recipe = Recipe(
    source="Dogs-in-the-Wild",
    classes_per_batch=32,
    fast=False,
)
