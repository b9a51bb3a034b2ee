"""Fixtures that several tests use, and the rule for the shared photos."""

import os
from pathlib import Path

import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")


@pytest.fixture(scope="session")
def shared():
    """Folder with real photos and weights beside a developer's checkout."""
    default = Path(__file__).parents[2] / "shared"
    folder = Path(os.environ.get("MAMC_SHARED", default))
    if not (folder / "data").is_dir():
        pytest.skip(
            "The photos beside a developer's checkout are not on this "
            "machine. Set MAMC_SHARED to their folder to run this test."
        )
    return folder
