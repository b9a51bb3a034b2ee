"""The paper's own setting on CUB-200-2011, as far as it is known.

ResNet-50 at 448 pixels, the flattened head (grid_size=None, D = 1024: 822 M
weights in OSME alone), batches of 5 pairs, P = 2, lambda 0.5 and the loss by
the letter. What the sources leave open follows Recipe: AdamW along a cosine
instead of an unknown schedule, BatchNormalization with ImageNet's statistics,
dropout 0.2, and the standard crops, flips and colours.

Source: tfds:caltech_birds2011, or the unpacked CUB_200_2011 folder with
--source.
Expected accuracy: not measured here. docs/reproduction.md has the paper's
number and why it does not stand beside ours.
Cost: a GPU with 40 GB; nobody has run it with this code yet.

Run:  mamc train recipes/paper_cub200.py
"""

from mamc_keras import Recipe

recipe = Recipe(
    source="tfds:caltech_birds2011",
    preset="resnet_50_imagenet",
    image_size=(448, 448),
    # Every training photo is used; nothing is chosen on the test split.
    validation_fraction=0.0,
    num_attentions=2,
    embedding_dim=1024,
    grid_size=None,
    mamc_weight=0.5,
    normalize=False,
    positives="sum",
    normalizer="pairs",
    classes_per_batch=5,
    images_per_class=2,
    # The paper's number is not known to us.
    epochs=30,
    fast=False,
)
