"""The devices of one machine, as one of TensorFlow's own strategies."""


def strategy(devices):
    """Makes the strategy that trains on several devices of this machine.

    The first `devices` GPUs; on a machine without a GPU as many parts of the
    CPU, which is no faster and there for trying things out.

    Args:
        devices: int, 1 or more.

    Returns:
        A `tf.distribute.MirroredStrategy`, in whose `scope()` the model is
        built and compiled; `None` for one device, which needs no strategy.

    Raises:
        ValueError: on fewer GPUs than asked for, or when TensorFlow has begun
            to use the CPU as one device.
    """
    if isinstance(devices, bool) or not isinstance(devices, int) or devices < 1:
        raise ValueError(
            "Training needs at least one device. Received: "
            f"devices={devices!r}. Give a whole number, 1 or more."
        )
    if devices == 1:
        return None
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    if gpus and len(gpus) < devices:
        raise ValueError(
            "There are not enough GPUs on this machine. Received: "
            f"devices={devices} with {len(gpus)} GPU(s). Ask for at most "
            f"{len(gpus)}, or hide them (CUDA_VISIBLE_DEVICES=-1) to try it "
            "on the CPU."
        )
    if gpus:
        # NCCL, the default, is the fast way between GPUs.
        return tf.distribute.MirroredStrategy(
            [f"GPU:{i}" for i in range(devices)]
        )
    _split_cpu(devices)
    return tf.distribute.MirroredStrategy(
        [f"CPU:{i}" for i in range(devices)],
        # The default, collective operations, breaks steps_per_execution > 1.
        cross_device_ops=tf.distribute.ReductionToOneDevice(),
    )


def _split_cpu(devices):
    import tensorflow as tf

    cpu = tf.config.list_physical_devices("CPU")[0]
    parts = tf.config.get_logical_device_configuration(cpu) or ()
    if len(parts) >= devices:
        return
    try:
        tf.config.set_logical_device_configuration(
            cpu, [tf.config.LogicalDeviceConfiguration()] * devices
        )
    except RuntimeError as error:
        raise ValueError(
            "The CPU can be split only before TensorFlow computes anything. "
            f"Received: devices={devices} with {max(1, len(parts))} in use. "
            "Call this first in a new process."
        ) from error
