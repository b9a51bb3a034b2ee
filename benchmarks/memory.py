"""The memory that a measurement took."""

import resource


def peak_mb():
    """The largest memory of this process so far, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
