"""Many files at a time: decoding and hashing free Python's lock."""

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
