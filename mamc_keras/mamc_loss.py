"""Multi-attention multi-class constraint: section 3.2 of the paper.

The embeddings of a batch are `f_i^p`, image `i` and attention `p`. Each of
the three terms is an N-pair loss with positives and negatives of its own.
"""

import keras
from keras import ops

from mamc_keras.mamc_arguments import check_conventions
from mamc_keras.mamc_arguments import one_per_image
from mamc_keras.mamc_arguments import small_labels
from mamc_keras.row_blocks import in_blocks

# A larger similarity matrix is built in row blocks. Training needs about 16
# times this, for the masks and the steps of the three terms.
MATRIX_BYTES = 2**26
TERMS = ("sasc", "sadc", "dasc")
SHORTEST = 1e-6  # an embedding below this in every coordinate has no direction


def pair_sets(classes, images, attentions, anchors):
    """Chooses the positives and the negatives of every anchor, by term.

    Args:
        classes: tensor `(E,)`. Class of each embedding.
        images: tensor `(E,)`. Image of each embedding.
        attentions: tensor `(E,)`. Attention branch of each embedding.
        anchors: int tensor `(A,)`. The embeddings that act as anchors.

    Returns:
        dict of `"sasc"`, `"sadc"`, `"dasc"`, each a pair (positives,
        negatives) of boolean tensors `(A, E)`.
    """

    def same(values):
        own = ops.take(values, anchors, axis=0)
        return ops.equal(own[:, None], values[None, :])

    same_class = same(classes)
    same_image = same(images)
    same_attention = same(attentions)
    # The image's own embedding of this attention is the anchor itself.
    sasc = same_attention & same_class & ~same_image
    sadc = same_attention & ~same_class
    dasc = ~same_attention & same_class
    dadc = ~same_attention & ~same_class
    return {
        "sasc": (sasc, sadc | dasc | dadc),
        "sadc": (sadc, dadc),
        "dasc": (dasc, dadc),
    }


def npair_term(similarity, positives, negatives, average=False):
    """N-pair loss of every anchor: equation 11 of the paper.

    `sum over its positives of log(1 + sum over its negatives of
    exp(s_n - s_p))`. An anchor without a positive or a negative gives 0.

    Args:
        similarity: float tensor `(A, E)`, anchors by embeddings.
        positives: boolean tensor `(A, E)`.
        negatives: boolean tensor `(A, E)`.
        average: bool. Mean over an anchor's positives instead of their sum.

    Returns:
        Tensor `(A,)`.
    """
    has_negative = ops.any(negatives, axis=1, keepdims=True)
    positives = positives & has_negative
    # A row without negatives keeps its scores: it has lost its positives, and
    # an infinite log-sum would leave NaN in the gradient.
    scores = ops.where(negatives | ~has_negative, similarity, float("-inf"))
    negative_score = ops.logsumexp(scores, axis=1, keepdims=True)
    # log(1 + sum_n exp(s_n - s_p)) == softplus(logsumexp_n(s_n) - s_p)
    losses = ops.softplus(negative_score - similarity)
    if average:
        share = ops.cast(positives, losses.dtype)
        count = ops.sum(share, axis=1, keepdims=True)
        losses = losses / ops.maximum(count, 1.0)
    return ops.sum(ops.where(positives, losses, 0.0), axis=1)


def mamc_terms(
    labels,
    embeddings,
    sample_weight=None,
    anchors=None,
    *,
    normalize=True,
    temperature=None,
    positives="mean",
    normalizer="anchors",
):
    """Computes the three terms of a batch, in float32 or better.

    Args:
        labels: integer tensor `(B,)` or `(B, 1)`. Class numbers, compared in
            their own type. (JAX without x64 knows no int64: there they must
            fit into 32 bits.)
        embeddings: float tensor `(B, P, D)`, `P` and `D` static.
        sample_weight: tensor `(B,)` or `(B, 1)`. Scales the terms of an
            image's anchors; weight 0 takes the image out of the batch.
        anchors: int tensor `(A,)`. The images that act as anchors, all by
            default. Positives, negatives and the normaliser always come from
            the whole batch, so disjoint sets of anchors add up to the term.
        normalize: bool. Cosine instead of raw inner products.
        temperature: float. Divides the similarities. `None` is 0.1 with
            cosine and 1 with raw products.
        positives: `"mean"` or `"sum"` over each anchor's positives.
        normalizer: of the sum over all anchors. `"anchors"` divides by
            `B P`, `"pairs"` by `B / 2`, where `B` counts the images of
            non-zero weight.

    Returns:
        dict of scalars `"sasc"`, `"sadc"` and `"dasc"`.
    """
    check_conventions(temperature, positives, normalizer)
    values = _terms_by_image(
        labels,
        embeddings,
        sample_weight,
        anchors,
        normalize=normalize,
        temperature=temperature,
        positives=positives,
        normalizer=normalizer,
    )
    return {name: ops.sum(value) for name, value in values.items()}


@keras.saving.register_keras_serializable(package="mamc_keras")
class MAMCLoss(keras.losses.Loss):
    """Weighted sum of the SASC, SADC and DASC terms of a batch.

    `MAMCLoss(normalize=False, positives="sum", normalizer="pairs")` is the
    literal formula of the paper.

    The loss belongs to the batch, not to an image. The value of an image,
    with `reduction=None`, is `B` times what its anchors add, so that the mean
    over the batch, `"sum_over_batch_size"`, is the loss. Weights are inside:
    `"mean_with_sample_weight"` is the same as `"sum_over_batch_size"`.

    Raw products may be as large as float32 holds (embeddings of norm 1e18);
    when a product itself overflows, so does the loss.

    Args:
        normalize: bool. See `mamc_terms`, like the next three.
        temperature: float or `None`.
        positives: `"mean"` or `"sum"`.
        normalizer: `"anchors"` or `"pairs"`.
        term_weights: three floats, for SASC, SADC and DASC.
        name: str.
        reduction: see `keras.losses.Loss`.
        dtype: see `keras.losses.Loss`. Half precision is raised to float32.

    Call arguments:
        y_true: integer labels `(batch_size,)` or `(batch_size, 1)`.
        y_pred: embeddings `(batch_size, num_attentions, embedding_dim)`.
        sample_weight: `(batch_size,)`; 0 takes an image out of the batch.

    Reference:

    - [Sun et al., 2018](https://arxiv.org/abs/1806.05372), section 3.2
    """

    def __init__(
        self,
        normalize=True,
        temperature=None,
        positives="mean",
        normalizer="anchors",
        term_weights=(1.0, 1.0, 1.0),
        name="mamc_loss",
        reduction="sum_over_batch_size",
        dtype=None,
    ):
        check_conventions(temperature, positives, normalizer)
        policy = keras.dtype_policies.get(dtype or keras.config.floatx())
        dtype = keras.backend.result_type(policy.compute_dtype, "float32")
        super().__init__(name=name, reduction=reduction, dtype=dtype)
        self.normalize = bool(normalize)
        self.temperature = temperature
        self.positives = positives
        self.normalizer = normalizer
        self.term_weights = tuple(float(weight) for weight in term_weights)
        if len(self.term_weights) != 3 or min(self.term_weights) < 0:
            raise ValueError(
                "MAMC has three terms, SASC, SADC and DASC. Received: "
                f"term_weights={term_weights}. Give three numbers >= 0."
            )

    def __call__(self, y_true, y_pred, sample_weight=None):
        # Loss.__call__ turns labels into floats, in which class numbers
        # above 2^24 collide, so it gets small stand-ins for them. Weights go
        # the same way: they change the sets, not only the sum.
        y_pred = ops.convert_to_tensor(y_pred)
        labels = one_per_image(y_true, "labels", y_pred)
        y_true = {"labels": small_labels(labels)}
        if sample_weight is not None:
            y_true["sample_weight"] = sample_weight
        return super().__call__(y_true, y_pred)

    def call(self, y_true, y_pred):
        terms = _terms_by_image(
            y_true["labels"],
            y_pred,
            y_true.get("sample_weight"),
            **self.conventions(),
        )
        weighted = zip(self.term_weights, terms.values(), strict=True)
        total = sum(weight * term for weight, term in weighted)
        return total * ops.cast(ops.shape(y_pred)[0], total.dtype)

    def conventions(self):
        """Returns the keyword arguments for `mamc_terms`."""
        return {
            "normalize": self.normalize,
            "temperature": self.temperature,
            "positives": self.positives,
            "normalizer": self.normalizer,
        }

    def get_config(self):
        config = super().get_config()
        config.update(self.conventions())
        config.update(term_weights=self.term_weights, dtype=self.dtype)
        return config


def _terms_by_image(
    labels,
    embeddings,
    sample_weight=None,
    anchors=None,
    *,
    normalize,
    temperature,
    positives,
    normalizer,
):
    """Returns what each anchor image adds to each term, tensors `(A,)`."""
    embeddings = ops.convert_to_tensor(embeddings)
    labels = one_per_image(labels, "labels", embeddings)
    dtype = keras.backend.result_type(embeddings.dtype, "float32")
    batch_size, num_attentions, embedding_dim = ops.shape(embeddings)
    if sample_weight is None:
        sample_weight = ops.ones((batch_size,), dtype=dtype)
    weights = ops.cast(
        one_per_image(sample_weight, "sample_weight", embeddings), dtype
    )
    present = ops.not_equal(weights, 0)
    if temperature is None:
        temperature = 0.1 if normalize else 1.0

    # Padding may hold anything, NaN included.
    embeddings = ops.cast(embeddings, dtype)
    embeddings = ops.where(present[:, None, None], embeddings, 0.0)
    # Embedding e belongs to image e // P and to attention e % P.
    embeddings = ops.reshape(embeddings, (-1, embedding_dim))
    index = ops.arange(batch_size * num_attentions, dtype="int32")
    images, attentions = index // num_attentions, index % num_attentions
    classes = ops.take(labels, images, axis=0)
    is_present = ops.take(present, images, axis=0)
    if normalize:
        embeddings = _unit_length(embeddings)

    count = ops.sum(ops.cast(present, dtype))
    scale = count * num_attentions if normalizer == "anchors" else count / 2
    weights = weights / ops.maximum(scale, 0.5)

    def terms(embeddings, anchors):
        rows = anchors[:, None] * num_attentions + index[:num_attentions]
        rows = ops.reshape(rows, (-1,))
        own = ops.take(embeddings, rows, axis=0)
        similarity = ops.matmul(own, ops.transpose(embeddings)) / temperature
        sets = pair_sets(classes, images, attentions, rows)
        values = []
        for name in TERMS:
            pair = [mask & is_present for mask in sets[name]]
            value = npair_term(similarity, *pair, positives == "mean")
            value = ops.reshape(value, (-1, num_attentions))
            weight = ops.take(weights, anchors, axis=0)[:, None]
            values.append(ops.sum(value * weight, axis=1))
        return ops.stack(values, axis=1)

    if anchors is None:
        anchors = ops.arange(batch_size, dtype="int32")
    anchors = ops.cast(anchors, "int32")
    values = _in_blocks(terms, embeddings, anchors, num_attentions)
    return dict(zip(TERMS, ops.unstack(values, 3, axis=1), strict=True))


def _in_blocks(terms, embeddings, anchors, num_attentions):
    """Takes the anchors in turn when their matrix would be too large."""
    num_anchors, num_columns = ops.shape(anchors)[0], ops.shape(embeddings)[0]
    known = isinstance(num_anchors, int) and isinstance(num_columns, int)
    larger = max if known else ops.maximum
    row_bytes = 4 * num_attentions * num_columns
    size = larger(1, MATRIX_BYTES // larger(1, row_bytes))
    if known and size >= num_anchors:
        return terms(embeddings, anchors)

    # Even blocks: one that is mostly padding would cost as much as a full one.
    num_blocks = larger(1, -(-num_anchors // size))
    size = -(-num_anchors // num_blocks)
    padded = ops.pad(anchors, (0, num_blocks * size - num_anchors))
    blocks = ops.reshape(padded, (num_blocks, size))
    values = in_blocks(terms, embeddings, blocks)
    return ops.reshape(values, (-1, 3))[:num_anchors]


def _unit_length(x):
    """L2-normalises rows at any scale; a row of zeros stays one."""
    largest = ops.max(ops.abs(x), axis=-1, keepdims=True)
    has_direction = largest > SHORTEST
    # Dividing first keeps the squares finite. The length of the row cancels,
    # so the gradient is right without one through the divisor.
    x = x / ops.stop_gradient(ops.where(has_direction, largest, 1.0))
    square = ops.sum(ops.square(x), axis=-1, keepdims=True)
    return x * ops.rsqrt(ops.where(has_direction, square, 1.0))
