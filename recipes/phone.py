"""The phone setting: half the default's embedding.

EfficientNet-Lite0 at 224 pixels, pooled head, two branches of 256: an int8
.tflite of builtin operations only. The shipped grocery81 model is the same
with branches of 512 (saved_models/results.csv has its size and accuracy).

Source: any folder of class folders.
Expected accuracy: not measured with 256; see docs/reproduction.md for 512.
Cost: fast mode, no GPU; docs/mobile.md has the size and time of the files with
512.

Run:  mamc train recipes/phone.py --source FOLDER
      mamc export runs/NAME
"""

from mamc_keras import Recipe

recipe = Recipe(
    source="../shared/data/grocery81",
    embedding_dim=256,
)
