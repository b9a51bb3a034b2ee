"""A float16 gradient overflows on one of two replicas: both skip the step."""

import keras
import numpy as np
import tensorflow as tf

from mamc_keras.devices import strategy
from mamc_keras.models import replicas

two = strategy(2)
with two.scope():
    weight = keras.Variable([1.0, 2.0])
    optimizer = keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.5))
    optimizer.build([weight])


@tf.function
def step(value_of_second):
    def on_replica():
        context = tf.distribute.get_replica_context()
        second = tf.equal(context.replica_id_in_sync_group, 1)
        gradient = tf.where(second, [1.0, value_of_second], [1.0, 1.0])
        gradients = [gradient * optimizer.dynamic_scale]
        optimizer.apply(replicas.agree_on_overflow(gradients), [weight])

    two.run(on_replica)


for overflow in (float("inf"), float("nan")):
    before = float(optimizer.dynamic_scale.numpy())
    step(tf.constant(overflow))
    np.testing.assert_array_equal(weight.numpy(), [1.0, 2.0])
    assert float(optimizer.dynamic_scale.numpy()) == before / 2
step(tf.constant(3.0))
np.testing.assert_allclose(weight.numpy(), [0.0, 0.0])
assert float(optimizer.dynamic_scale.numpy()) == before / 2
print("both skipped")
