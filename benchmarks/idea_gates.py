"""Other gates than OSME's own, which benchmarks/ideas.py tries."""

import keras
import numpy as np
from keras import ops

from mamc_keras import OSME


class IdentityGates(OSME):
    """Gates that start as identity: `2 sigmoid(0) = 1` for every channel."""

    def build(self, input_shape):
        super().build(input_shape)
        for expander in self.expanders:
            expander.kernel.assign(ops.zeros_like(expander.kernel))

    def _gate(self, squeezed, p):
        return 2.0 * super()._gate(squeezed, p)


class ApartGates(OSME):
    """Each branch starts with channels of its own: gates near 0.9 and 0.1."""

    START = 2.0  # sigmoid(2) = 0.88

    def build(self, input_shape):
        super().build(input_shape)
        channels = input_shape[-1]
        owner = np.random.default_rng(0).permutation(channels)
        for p, expander in enumerate(self.expanders):
            own = owner % self.num_attentions == p
            expander.bias.assign(np.where(own, self.START, -self.START))


class SlowGates(OSME):
    """Gates that learn at a tenth of the head's rate.

    Adam's step does not depend on the size of a gradient, so weights that are
    stored ten times as large and divided by ten move a tenth as far.
    """

    FACTOR = 10.0

    def build(self, input_shape):
        super().build(input_shape)
        for layer in (*self.reducers, *self.expanders):
            layer.kernel.assign(layer.kernel * self.FACTOR)

    def _gate(self, squeezed, p):
        x = self.reducers[p](squeezed) / self.FACTOR
        expander = self.expanders[p]
        x = ops.matmul(x, expander.kernel) + expander.bias
        return ops.sigmoid(x / self.FACTOR)


class DecayedGates(OSME):
    """An L2 penalty on the weights of the gates."""

    PENALTY = 1e-3

    def _dense(self, units, role, p, activation=None):
        dense = super()._dense(units, role, p, activation)
        if role != "project":
            dense.kernel_regularizer = keras.regularizers.L2(self.PENALTY)
        return dense


class DroppedGates(OSME):
    """Dropout on the gates: a branch must not lean on few channels."""

    RATE = 0.3

    def build(self, input_shape):
        super().build(input_shape)
        self.gate_dropout = keras.layers.Dropout(self.RATE, seed=0)

    def _gate(self, squeezed, p):
        return self.gate_dropout(super()._gate(squeezed, p))


class PlaceGates(OSME):
    """Gates over places as well as channels: no squeeze, a gate a position.

    A deviation from the method. Only for `grid_size=1`.
    """

    def call(self, inputs):
        embeddings = []
        for p in range(self.num_attentions):
            excited = self._gate(inputs, p) * inputs
            pooled = ops.mean(excited, axis=(1, 2))
            embeddings.append(self.projections[p](pooled))
        return ops.stack(embeddings, axis=1)

    def attention_maps(self, features):
        excited = [
            self._gate(features, p) * features
            for p in range(self.num_attentions)
        ]
        return ops.stack([ops.mean(ops.relu(x), -1) for x in excited], axis=1)
