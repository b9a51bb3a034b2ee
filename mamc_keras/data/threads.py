"""Many files at a time, and what a machine with one core needs."""

import concurrent.futures
import os

BLOCK = 512  # files handed to the threads at once


def map_files(function, paths, progress=None):
    """Calls a function on every path, in threads.

    Args:
        function: callable of one path.
        paths: sequence of str.
        progress: callable `(num_done, num_paths)`, called after each path.

    Returns:
        An iterator of what the function gave, in the order of the paths.
    """
    done = 0
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        # Block by block, or a million files would all be queued at once and
        # an interrupt would wait for them.
        for start in range(0, len(paths), BLOCK):
            for result in pool.map(function, paths[start : start + BLOCK]):
                done += 1
                if progress:
                    progress(done, len(paths))
                yield result


def num_cores():
    """Counts the cores that this process may use.

    Returns:
        int; fewer than `os.cpu_count()` in a container with a part of them.
    """
    if hasattr(os, "sched_getaffinity"):  # Linux only.
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def closes_at_once(dataset):
    """Turns tf.data's tuning off where there is one core.

    On one core the tuner of TensorFlow 2.21 sleeps through the end of its
    iterator: closing it takes as long as it was open, up to a minute.

    Args:
        dataset: `tf.data.Dataset`.

    Returns:
        `tf.data.Dataset` of the same elements.
    """
    if num_cores() > 1:
        return dataset
    import tensorflow as tf

    options = tf.data.Options()
    options.autotune.enabled = False
    return dataset.with_options(options)
