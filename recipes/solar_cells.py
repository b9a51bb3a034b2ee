"""OSME + MAMC on photos of solar cells: the demo's recipe.

Source: elpv-dataset on PyPI (CC BY-NC-SA 4.0, not for commercial use): mono-
or polycrystalline, sound or defective. A batch holds four images of three of
the four classes: with all four the largest class would force as many batches
of more images. Expected accuracy and cost: the table that `make demo` ends
with.

Run:  mamc train recipes/solar_cells.py --source FOLDER
"""

from mamc_keras import Recipe

recipe = Recipe(
    source="demo/solar_cells",
    classes_per_batch=3,
    images_per_class=4,
    epochs=3,
    cached_views=2,
    # A crack may be anywhere on a cell: cutting out half of it could lose it.
    augmentation="light",
)
