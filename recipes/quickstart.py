"""The bare API: a folder of class folders in, a trained preset out.

Run:  python recipes/quickstart.py FOLDER PRESET_FOLDER
"""

import sys

import keras

from mamc_keras import MAMCImageClassifier
from mamc_keras import NPairPlan
from mamc_keras.data.checks import check_source
from mamc_keras.data.pipeline import n_pair_dataset
from mamc_keras.data.pipeline import plain_dataset
from mamc_keras.data.sources import open_source

splits = check_source(open_source(sys.argv[1])).clean
train, test = splits["train"], splits["test"]
plan = NPairPlan(train.labels, classes_per_batch=8, images_per_class=2)
model = MAMCImageClassifier.from_preset(
    "efficientnet_lite0_imagenet", class_names=train.class_names
)
model.compile(optimizer=keras.optimizers.AdamW(3e-4))
model.fit(
    n_pair_dataset(train, plan, model.image_size, "standard"),
    steps_per_epoch=plan.steps_per_epoch,
    epochs=1,
)
print(model.evaluate(plain_dataset(test, model.image_size, 32)))
model.save_to_preset(sys.argv[2])
