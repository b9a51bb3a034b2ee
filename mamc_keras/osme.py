"""One-squeeze multi-excitation: section 3.1 of the paper."""

import logging
import os
from numbers import Integral

import keras
import numpy as np
from keras import ops

LARGE_HEAD = 100_000_000  # weights; a head above this is said in the log
TRAINING_BYTES = 16  # a float32 weight, its gradient and two Adam slots

logger = logging.getLogger(__name__)


@keras.saving.register_keras_serializable(package="mamc_keras")
class OSME(keras.layers.Layer):
    """One-squeeze multi-excitation attention.

    Squeezes a feature map `U` once and excites it `num_attentions` times, so
    that each branch learns to weigh the channels of a different object part:

    - `z = mean of U over its positions`
    - `m^p = sigmoid(W2^p relu(W1^p z + b1^p) + b2^p)`, the gates
    - `f^p = W3^p vec(m^p * U) + b3^p`, one embedding a branch

    A gate does not depend on the position, so pooling commutes with it:
    `pool(m^p * U) = m^p * pool(U)`. With a `grid_size` the map is therefore
    pooled once for all branches. The paper does not pool.

    Args:
        num_attentions: int. Number of attention branches, `P` in the paper.
        embedding_dim: int. Size of each embedding, `D` in the paper.
        reduction_ratio: int. The gates' hidden size is
            `max(1, channels // reduction_ratio)`.
        grid_size: int or `None`. `None` flattens the whole map, as the paper
            does; its height and width must then be static. `g` pools it to
            `g x g` cells first: cell `i` averages the rows
            `floor(i h / g)` to `ceil((i + 1) h / g)`, columns likewise.
        use_gates: bool. `False` leaves the excitation out, `m^p = 1`: `P`
            plain projections, which show what the gates are worth.

    Input shape:
        `(batch_size, height, width, channels)`, with static channels.

    Output shape:
        `(batch_size, num_attentions, embedding_dim)`.

    Raises:
        ValueError: for an argument that is no positive integer, an input
            that is no feature map, a map of another size than the flattened
            head was built for, or a head that does not fit into memory.

    Reference:

    - [Sun et al., 2018](https://arxiv.org/abs/1806.05372), section 3.1
    """

    def __init__(
        self,
        num_attentions=2,
        embedding_dim=1024,
        reduction_ratio=16,
        grid_size=None,
        use_gates=True,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.num_attentions = _positive("num_attentions", num_attentions)
        self.embedding_dim = _positive("embedding_dim", embedding_dim)
        self.reduction_ratio = _positive("reduction_ratio", reduction_ratio)
        if grid_size is not None:
            grid_size = _positive("grid_size", grid_size)
        self.grid_size = grid_size
        self.use_gates = bool(use_gates)

    @staticmethod
    def count_weights(
        feature_shape,
        num_attentions=2,
        embedding_dim=1024,
        reduction_ratio=16,
        grid_size=None,
        use_gates=True,
    ):
        """Counts the weights of a layer without building it.

        Args:
            feature_shape: `(height, width, channels)`, a batch size before
                them is ignored. Height and width are not used, and may be
                `None`, when `grid_size` is given.
            num_attentions: int. See the class, like the rest.
            embedding_dim: int.
            reduction_ratio: int.
            grid_size: int or `None`.
            use_gates: bool.

        Returns:
            int. Number of weights, biases included.
        """
        height, width, channels = feature_shape[-3:]
        hidden = max(1, channels // reduction_ratio)
        cells = grid_size**2 if grid_size else height * width
        gate = 0
        if use_gates:
            gate = (channels + 1) * hidden + (hidden + 1) * channels
        projection = (cells * channels + 1) * embedding_dim
        return num_attentions * (gate + projection)

    def build(self, input_shape):
        self._check_map(input_shape)
        self._check_memory(input_shape)
        height, width, channels = input_shape[1:]
        self.map_size = (height, width) if self.grid_size is None else None
        cells = self.grid_size**2 if self.grid_size else height * width
        self.vector_size = cells * channels
        hidden = max(1, channels // self.reduction_ratio)
        # Separate Dense layers a branch: each weight is then the matrix of a
        # fully connected operation, which LiteRT can quantise. A random start
        # of its own lets each branch become another one.
        self.reducers = []  # W1
        self.expanders = []  # W2
        self.projections = []  # W3
        for p in range(self.num_attentions):
            self.projections.append(
                self._dense(self.embedding_dim, "project", p)
            )
            self.projections[p].build((None, self.vector_size))
            if not self.use_gates:
                continue
            self.reducers.append(self._dense(hidden, "reduce", p, "relu"))
            self.expanders.append(self._dense(channels, "expand", p, "sigmoid"))
            self.reducers[p].build((None, channels))
            self.expanders[p].build((None, hidden))
        self.input_spec = keras.layers.InputSpec(ndim=4, axes={3: channels})

    def call(self, inputs):
        squeezed = _average(inputs)
        cells = inputs
        if self.grid_size is None:
            self._check_size(inputs.shape)
        elif self.grid_size == 1:
            cells = squeezed
        else:
            cells = _pool(inputs, self.grid_size)
        embeddings = []
        for p in range(self.num_attentions):
            excited = self._excite(squeezed, cells, p)
            # A map of another, unknown size must fail, not mix the images.
            known = None not in tuple(excited.shape[1:])
            batch_size = -1 if known else ops.shape(excited)[0]
            vector = ops.reshape(excited, (batch_size, self.vector_size))
            embeddings.append(self.projections[p](vector))
        # Not stacked: OpenCV's reader of .tflite cannot.
        return ops.reshape(
            ops.concatenate(embeddings, axis=-1),
            (-1, self.num_attentions, self.embedding_dim),
        )

    def gates(self, features):
        """Computes the channel gates `m^p`.

        Args:
            features: tensor `(B, h, w, C)`.

        Returns:
            Tensor `(B, P, C)`, values 0..1.
        """
        features = self._prepare(features)
        squeezed = _average(features)
        gates = [self._gate(squeezed, p) for p in range(self.num_attentions)]
        return ops.stack(gates, axis=1)

    def attention_maps(self, features):
        """Shows where each branch looks: the channel mean of `relu(S^p)`.

        Args:
            features: tensor `(B, h, w, C)`.

        Returns:
            Tensor `(B, P, h, w)`.
        """
        features = self._prepare(features)
        squeezed = _average(features)
        maps = []
        for p in range(self.num_attentions):
            excited = self._excite(squeezed, features, p)
            maps.append(_average(ops.relu(excited), axis=-1))
        return ops.stack(maps, axis=1)

    def evidence(self, features, directions):
        """Shows what each position adds to a linear read-out, exactly.

        `f^p` is linear in `S^p`, so `f^p . v^p` is a sum over positions (and
        the bias `b3^p . v^p`). With a classifier's row as `v^p`, the maps of
        all branches add up to the logit.

        Args:
            features: tensor `(B, h, w, C)` with known h and w.
            directions: tensor `(B, P, D)`, one `v^p` for each branch.

        Returns:
            Tensor `(B, P, h, w)`, of any sign.
        """
        features = self._prepare(features)
        squeezed = _average(features)
        height, width, channels = features.shape[1:]
        maps = []
        for p in range(self.num_attentions):
            kernel = ops.reshape(
                self.projections[p].kernel, (-1, channels, self.embedding_dim)
            )
            excited = ops.reshape(
                self._excite(squeezed, features, p),
                (-1, height * width, channels),
            )
            # What one more unit of each channel adds, by cell of the grid.
            slopes = ops.einsum("gcd,bd->bgc", kernel, directions[:, p])
            if self.grid_size is None:
                flat = ops.sum(excited * slopes, axis=-1)
            else:
                shares = _cell_shares(height, width, self.grid_size)
                added = ops.einsum("bxc,bgc->bgx", excited, slopes)
                flat = ops.einsum(
                    "bgx,gx->bx", added, ops.cast(shares, added.dtype)
                )
            maps.append(ops.reshape(flat, (-1, height, width)))
        return ops.stack(maps, axis=1)

    def compute_output_shape(self, input_shape):
        return (input_shape[0], self.num_attentions, self.embedding_dim)

    def get_config(self):
        config = super().get_config()
        config.update(
            num_attentions=self.num_attentions,
            embedding_dim=self.embedding_dim,
            reduction_ratio=self.reduction_ratio,
            grid_size=self.grid_size,
            use_gates=self.use_gates,
        )
        return config

    def _dense(self, units, role, p, activation=None):
        return keras.layers.Dense(
            units,
            activation=activation,
            dtype=self.dtype_policy,
            name=f"{role}_{p}",
        )

    def _prepare(self, features):
        """Does what `__call__` does before `call`, for the other methods."""
        if not self.built:
            self.build(tuple(features.shape))
        return ops.cast(features, self.compute_dtype)

    def _excite(self, squeezed, features, p):
        if not self.use_gates:
            return features
        gates = self._gate(squeezed, p)
        if len(features.shape) == 4:  # Else the pooled map of grid_size=1.
            gates = ops.expand_dims(gates, (1, 2))
        return gates * features

    def _gate(self, squeezed, p):
        if not self.use_gates:
            return ops.ones_like(squeezed)
        return self.expanders[p](self.reducers[p](squeezed))

    def _check_map(self, shape):
        if len(shape) != 4 or shape[-1] is None:
            raise ValueError(
                "OSME needs a feature map (batch_size, height, width, "
                "channels) with a known number of channels. Received: "
                f"input_shape={tuple(shape)}. Give it the encoder's last 4-D "
                "output, before global pooling."
            )
        if self.grid_size is None and None in shape[1:3]:
            raise ValueError(
                "OSME flattens the whole map when grid_size=None, so height "
                "and width must be known. Received: "
                f"input_shape={tuple(shape)}. Fix the size of the images "
                "(image_size), or pool the map with grid_size=1."
            )

    def _check_size(self, shape):
        size = tuple(shape[1:3])
        if None not in size and size != self.map_size:
            raise ValueError(
                "OSME with grid_size=None takes only the map size that it "
                f"was built for, {self.map_size}. Received: {size}. Resize "
                "the images, or build it with grid_size=1 for any size."
            )

    def _check_memory(self, shape):
        count = self.count_weights(
            shape,
            self.num_attentions,
            self.embedding_dim,
            self.reduction_ratio,
            self.grid_size,
            self.use_gates,
        )
        needed = TRAINING_BYTES * count
        message = (
            f"The OSME head has {count:,} weights on a map of "
            f"{tuple(shape[1:])}: {needed / 2**30:.1f} GiB to train them "
            "(float32 weights, gradients and two Adam slots)."
        )
        if count > LARGE_HEAD:
            logger.warning("%s grid_size=1 makes it small.", message)
        memory = _physical_memory()
        if memory is not None and needed > memory:
            raise ValueError(
                f"{message} This machine has {memory / 2**30:.1f} GiB. "
                f"Received: grid_size={self.grid_size}. Pool the map with "
                "grid_size=1, or use smaller images or a smaller "
                "embedding_dim."
            )


def _positive(name, value):
    """Returns `value` as a plain int, for the config."""
    if isinstance(value, bool) or not isinstance(value, Integral) or value < 1:
        raise ValueError(
            f"OSME needs a positive integer. Received: {name}={value!r}. "
            f"Set {name} to 1 or more."
        )
    return int(value)


def _physical_memory():
    """Returns the bytes of memory of the machine, `None` when unknown."""
    try:
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        return None
    return memory if memory > 0 else None


def _average(x, axis=(1, 2)):
    """Averages in float32 or better: a float16 sum can overflow."""
    wide = ops.cast(x, keras.backend.result_type(x.dtype, "float32"))
    return ops.cast(ops.mean(wide, axis=axis), x.dtype)


def _pool(features, grid_size):
    """Adaptive average pooling: `(B, h, w, C) -> (B, g, g, C)`."""
    # Slices work for unknown sizes as well, and convert to LiteRT.
    height, width = ops.shape(features)[1:3]
    rows = [
        ops.stack(
            [
                _average(features[:, top:bottom, left:right])
                for left, right in _cell_bounds(width, grid_size)
            ],
            axis=1,
        )
        for top, bottom in _cell_bounds(height, grid_size)
    ]
    return ops.stack(rows, axis=1)


def _cell_bounds(size, grid_size):
    """Yields `floor(i size / g)` and `ceil((i + 1) size / g)`."""
    for i in range(grid_size):
        yield i * size // grid_size, -(-(i + 1) * size // grid_size)


def _cell_shares(height, width, grid_size):
    """The part of a position in each cell's average: `(g * g, h * w)`."""
    shares = []
    for top, bottom in _cell_bounds(height, grid_size):
        for left, right in _cell_bounds(width, grid_size):
            share = np.zeros((height, width))
            share[top:bottom, left:right] = 1 / (bottom - top) / (right - left)
            shares.append(share.ravel())
    return np.stack(shares)
