"""Forged betons end no command but with a message."""

import json
import subprocess
import sys

from tests.conftest import ROOT


def test_forged_tables_are_taken_or_refused_with_a_message(tmp_path):
    arguments = [sys.executable, "-m", "tests.beton_mutants", tmp_path, "7", "60"]
    done = subprocess.run(arguments, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    kept = (tmp_path / "mutated.beton").read_bytes()[:24].hex() if done.returncode else ""
    assert done.returncode == 0, f"header {kept}\n{done.stderr}"
    taken = json.loads(done.stdout)
    assert all(3 < taken[command] < 40 for command in ("check", "decode", "cut", "drop", "append", "relabel")), taken
