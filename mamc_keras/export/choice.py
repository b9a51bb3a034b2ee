"""Which exported file to ship: the smallest that costs no accuracy."""

ALLOWED_LOSS = 0.005


def recommended(reports):
    """Picks the file to ship, from what validation photos say.

    The smallest file whose top-1 is at most half a point below that of Keras.
    The test split has no say, so that its numbers stay honest.

    Args:
        reports: dict of what `parity_report` says of each file on validation
            photos, by file. Files of one layout.

    Returns:
        One of the files, or `None` when every file costs more than that.
    """
    good = {
        name: report["megabytes"]
        for name, report in reports.items()
        if report["accuracy_tflite"] >= report["accuracy_keras"] - ALLOWED_LOSS
    }
    return min(good, key=good.get, default=None)
