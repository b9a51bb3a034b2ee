"""A polite end: SIGTERM and Ctrl-C stop a run after its next step."""

import contextlib
import signal
import threading


class Interrupted(Exception):
    """A signal ended a run that can be resumed.

    Args:
        signum: int. The signal.
        message: str.
    """

    def __init__(self, signum, message):
        super().__init__(message)
        self.signum = signum


class StopRequest:
    """Which signal asked to stop; `signum` is `None` until one does."""

    signum = None


@contextlib.contextmanager
def stop_requests():
    """Notes SIGTERM and SIGINT instead of dying of them.

    The same signal a second time acts as it did before. Outside of the main
    thread, where Python cannot take signals, nothing changes.

    Returns:
        A context manager yielding a `StopRequest`.
    """
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return
    before = {}

    def note(signum, frame):
        request.signum = signum
        signal.signal(signum, before[signum])

    for signum in (signal.SIGTERM, signal.SIGINT):
        # None is a handler that Python did not set.
        before[signum] = signal.getsignal(signum) or signal.SIG_DFL
        signal.signal(signum, note)
    try:
        yield request
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)
