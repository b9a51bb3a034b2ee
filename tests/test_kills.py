"""Killed again and again, a run ends as the run that nobody killed."""

import kills
import pytest


@pytest.mark.slow
def test_the_killed_run_is_the_whole_run(photo_folder, tmp_path):
    *killed, end = kills.measure(photo_folder, 3, seed=3, work=tmp_path)
    assert len(killed) == 3
    assert end["largest_weight_difference"] == 0
    reached = [row["newest_checkpoint"] for row in killed]
    assert reached == sorted(reached) and reached[-1] > reached[0]
    assert end["same_history"]
