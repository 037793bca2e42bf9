"""FFCV is the judge: what its stock Loader reads from betons of ours, and that betons of its own can be edited."""

import subprocess
import sys

import pytest

from tests.conftest import ROOT


@pytest.mark.slow
def test_stock_ffcv_reads_what_was_written_and_its_own_files_can_be_edited(tmp_path):
    arguments = [sys.executable, "-m", "tests.ffcv_judge", tmp_path]
    done = subprocess.run(arguments, cwd=ROOT, capture_output=True, text=True, timeout=400, check=False)
    assert done.stdout.strip().endswith("all is well"), done.stderr
