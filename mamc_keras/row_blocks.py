"""A function of many anchors, computed some of them at a time."""

import keras
from keras import ops


def in_blocks(function, embeddings, blocks):
    """Takes the blocks in turn; the gradient computes each block again.

    One block's intermediate results exist at a time, forward and backward.

    Args:
        function: callable of (embeddings, anchors `(S,)`) that returns a
            tensor `(S, T)`. It is differentiated by the embeddings only.
        embeddings: float tensor `(E, D)`.
        blocks: int tensor `(N, S)`, the anchors of each block. A TensorFlow
            graph need not know `N` and `S` before it runs.

    Returns:
        Tensor `(N, S, T)`.
    """
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        if not tf.executing_eagerly():
            return _in_graph(function, embeddings, blocks)

    def block_values(block):
        return keras.remat(lambda x: function(x, block))(embeddings)

    return ops.map(block_values, blocks)


def _in_graph(function, embeddings, blocks):
    """The same with a loop and a gradient of its own.

    TensorFlow would let ten turns of `keras.ops.map` run side by side, and
    keep a copy of the embeddings for the gradient of each.
    """
    import tensorflow as tf

    @tf.custom_gradient
    def values(embeddings):
        def gradient(upstream):
            def add_block(i, total):
                with tf.GradientTape() as tape:
                    tape.watch(embeddings)
                    value = function(embeddings, blocks[i])
                return i + 1, total + tape.gradient(
                    value, embeddings, upstream[i], "zero"
                )

            _, total = tf.while_loop(
                lambda i, _: i < tf.shape(blocks)[0],
                add_block,
                (0, tf.zeros_like(embeddings)),
                parallel_iterations=1,
            )
            return total

        value = tf.map_fn(
            lambda block: function(embeddings, block),
            blocks,
            parallel_iterations=1,
            fn_output_signature=tf.TensorSpec((None, None), embeddings.dtype),
        )
        return value, gradient

    return values(embeddings)
