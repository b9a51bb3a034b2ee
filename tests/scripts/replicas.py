"""Trains on one and on two logical CPUs and compares the weights."""

import keras
import numpy as np
import tensorflow as tf

cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(
    cpu, [tf.config.LogicalDeviceConfiguration()] * 2
)

from small import batch  # noqa: E402
from small import encoder  # noqa: E402
from small import freeze  # noqa: E402

from mamc_keras import MAMCImageClassifier  # noqa: E402


def difference(a, b):
    return max(np.abs(x - y).max() for x, y in zip(a, b, strict=True))


def train(
    strategy, num_classes, weighted=False, dtype="float32", epochs=1, **options
):
    with strategy.scope():
        keras.config.set_dtype_policy(dtype)
        network = encoder()
        keras.utils.set_random_seed(3)
        model = freeze(MAMCImageClassifier(network, 7, embedding_dim=8))
        model.compile(optimizer=keras.optimizers.SGD(0.05, **options))
        keras.config.set_dtype_policy("float32")
    batches = [batch(num_classes, seed=s) for s in range(4)]
    images = np.stack([x / 128 - 1 for x, _ in batches])
    labels = np.stack([(y * 3) % 7 for _, y in batches])
    data = (images, labels)
    if weighted:
        rng = np.random.default_rng(0)
        data = (*data, rng.integers(0, 3, labels.shape).astype("float32"))
    dataset = tf.data.Dataset.from_tensor_slices(data)
    start = model.get_weights()
    logs = model.fit(dataset, epochs=epochs, verbose=0).history
    assert difference(start, model.get_weights()) > 1e-3  # It did move.
    return model.get_weights(), logs


one = tf.distribute.get_strategy()
two = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
assert two.num_replicas_in_sync == 2
# 3 and 5 pairs: the automatic cut goes through the middle of a pair.
for options in (
    {"num_classes": 2},
    {"num_classes": 3},
    {"num_classes": 5},
    {"num_classes": 5, "weighted": True},
    {"num_classes": 3, "momentum": 0.9, "use_ema": True},
):
    (w1, l1), (w2, l2) = train(one, **options), train(two, **options)
    assert difference(w1, w2) < 1e-6, (options, difference(w1, w2))
    for name in l1:
        np.testing.assert_allclose(l1[name], l2[name], rtol=1e-5, atol=1e-6)
# The first steps overflow on one replica only, and must be skipped on both.
half = {"num_classes": 3, "dtype": "mixed_float16", "epochs": 4}
assert difference(train(one, **half)[0], train(two, **half)[0]) < 2e-2
print("replicas agree")
