"""`pneumo-ad doctor`: what is wrong is a finding, not a traceback."""

import tomllib
from pathlib import Path

import pytest

from pneumo_ad.commands import doctor
from pneumo_ad.errors import ConfigError
from pneumo_ad.runs import diagnosis

PROJECT = Path(__file__).parents[2]


def states(findings):
    return {one.part: one.state for one in findings}


def test_every_extra_of_the_project_is_explained():
    extras = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert set(diagnosis.EXTRAS) == set(extras) - {"dev"}
    assert all(diagnosis.packages_of_extra(name) for name in diagnosis.EXTRAS)


def test_an_installation_that_works_fails_nowhere(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("PNEUMO_AD_CACHE", str(tmp_path))
    findings = doctor.doctor(trial=False)
    assert "fails" not in states(findings).values()
    assert list(tmp_path.iterdir()) == []  # nothing is left of the checks
    printed = capsys.readouterr().out
    assert all(one.part in printed and one.detail in printed for one in findings)


def test_a_cache_that_cannot_be_written_to_is_a_finding_with_its_remedy(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("PNEUMO_AD_CACHE", str(tmp_path / "file" / "cache"))
    failed = {one.part: one.detail for one in diagnosis.installation() if one.state == "fails"}
    assert set(failed) == {"cache", "locks"}
    assert all("PNEUMO_AD_CACHE=DIR" in detail for detail in failed.values())


def test_a_missing_extra_names_the_command_that_installs_it(monkeypatch):
    monkeypatch.setattr(diagnosis, "_is_installed", lambda package: package != "optuna")
    missing = {one.part: one.detail for one in diagnosis.installation() if one.state == "missing"}
    assert list(missing) == ["[tune]"]
    assert 'pip install "pneumo_ad[tune]"' in missing["[tune]"]


def test_a_folder_that_holds_no_run_fails_by_name(tmp_path):
    findings = doctor.doctor(run=tmp_path)
    assert states(findings)["opens"] == "fails"
    assert any("not a run folder" in one.detail for one in findings)
    with pytest.raises(SystemExit) as end:
        doctor.COMMAND.run([f"run={tmp_path}"])
    assert end.value.code == 1


def test_an_unknown_key_is_refused_with_the_nearest():
    with pytest.raises(ConfigError, match="did you mean trial"):
        doctor.doctor(trail=False)


def test_a_step_of_the_trial_that_fails_says_how_it_ended(tmp_path, monkeypatch):
    monkeypatch.setattr(doctor, "_TRIAL", {"train": "train pach=3", "export": "export run={0}/run"})
    found = list(doctor._trial())
    assert [one.part for one in found] == ["trial: train"]  # what comes after needs its run
    assert found[0].state == "fails"
    assert "pach" in found[0].detail
