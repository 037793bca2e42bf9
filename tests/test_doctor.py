"""What `doctor` says of a machine where all is well, and of one where something is broken."""

import pytest

from rescale_fast.errors import RescaleError
from rescale_fast.extras import MissingPackageError
from rescale_fast.run import doctor
from rescale_fast.run.doctor import Check, DoctorCommand, Finding


def test_a_sound_machine_is_called_sound(command):
    code, stdout, stderr = command("doctor")
    assert code == 0, stdout + stderr
    needed = {check.name for check in doctor.CHECKS if check.needed != "never"}
    assert {"core", "torch", "DALI", "FFCV"} <= needed
    verdicts = {line[10:23].strip(): line[:8].strip() for line in stdout.splitlines() if line[:8].strip()}
    assert {verdicts[name] for name in needed} == {"ok"}
    assert verdicts["GPU"] in ("ok", "missing")


def raises(error):
    def look():
        raise error

    return look


def test_what_is_broken_or_missing_is_told_with_advice_and_the_rest_is_still_looked_at(capsys, monkeypatch):
    checks = (
        Check("first", raises(ModuleNotFoundError("No module", name="ffcv")), "install ffcv"),
        Check("extra", raises(MissingPackageError("needs torch")), "install torch", "if there"),
        Check("damaged", raises(ImportError("libtorch.so")), "install torch again", "if there"),
        Check("second", raises(RuntimeError("libturbojpeg.so.0\nmore")), "install libturbojpeg"),
        Check("third", lambda: Finding("missing", "no GPU"), "buy one", needed="never"),
        Check("last", lambda: Finding("ok", "fine"), "-"),
    )
    monkeypatch.setattr(doctor, "CHECKS", checks)
    with pytest.raises(RescaleError, match="does not work here: first, damaged, second"):
        doctor.doctor(DoctorCommand())
    shown = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert shown == [
        "missing first ffcv is not installed",
        "install ffcv",
        "missing extra needs torch",
        "install torch",
        "broken damaged ImportError: libtorch.so",
        "install torch again",
        "broken second RuntimeError: libturbojpeg.so.0",
        "install libturbojpeg",
        "missing third no GPU",
        "buy one",
        "ok last fine",
    ]


def test_what_is_not_needed_does_not_fail(monkeypatch):
    monkeypatch.setattr(doctor, "CHECKS", (Check("GPU", raises(RuntimeError("driver")), "-", needed="never"),))
    doctor.doctor(DoctorCommand())
