"""Which exported file to ship: the best one that costs no accuracy."""

ALLOWED_LOSS = 0.005
# Small and fast first, by the measurements of docs/mobile.md: dynamic is as
# small as int8 but three times as slow on a CPU.
PREFERRED = ("int8", "mixed", "float16", "dynamic", "float32")


def recommended(reports):
    """Picks the variant to ship, from what validation photos say.

    The first of int8, mixed, float16, dynamic and float32 whose top-1 is at
    most half a point below that of Keras. The test split has no say, so that
    its numbers stay honest.

    Args:
        reports: dict of what `parity_report` says on validation photos, by
            variant. Files of one layout.

    Returns:
        One of the variants, or `None` when every file costs more than that.
    """
    for variant in PREFERRED:
        report = reports.get(variant)
        if report and (
            report["accuracy_tflite"] >= report["accuracy_keras"] - ALLOWED_LOSS
        ):
            return variant
    return None
