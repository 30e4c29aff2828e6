"""The command on a small job: what it prints and keeps, what an interrupted call leaves, and that nothing is fitted twice."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from scoring.settings import child_environment
from tests.conftest import Toy
from tests.support.shell import Said, Shell, done, nightshift, refused
from tests.support.toy import FIRST, add, events, execute

NIGHTS = 34
CHANGE = 18
LIVED = ("--from", FIRST + timedelta(days=8), "--to", FIRST + timedelta(days=NIGHTS - 1))
POLICIES = ("--policies", "never,every-4,every-4-ungated,governor")


def turned(night: date, rows: pd.DataFrame) -> pd.DataFrame:
    """Return the night's events; from the change on the outcome is the other way round."""
    return rows.assign(y=~rows["y"]) if night >= FIRST + timedelta(days=CHANGE) else rows


@pytest.fixture
def changing(untrained: Toy) -> Toy:
    """The toy job with 34 nights, whose outcome turns on the 19th."""
    execute(untrained.source, "delete from events")
    nights = [FIRST + timedelta(days=place) for place in range(NIGHTS)]
    add(untrained.source, pd.concat([turned(night, events(night, 60)) for night in nights]))
    settings: dict[str, Any] = {"training": {"window_days": 10, "holdout_nights": 4}, "promotion": {"min_nights": 2}}
    untrained.change(**settings, retraining={"cost": 5.0})  # by default the measured seconds, which differ
    return untrained


def result(toy: Toy) -> dict[str, Any]:
    """Return what the newest backtest left for the page, without what differs from call to call."""
    content = toy.stores.lake.read_json(toy.stores.lake.below(f"backtests/{toy.job.name}/backtest.json"))
    return {name: value for name, value in content.items() if name not in ("made_at", "fits")}


def fits(toy: Toy) -> dict[Path, float]:
    """Return the files of the fits and when each was written."""
    folder = toy.stores.settings.data_dir / "backtests" / toy.job.name
    return {path: path.stat().st_mtime_ns for path in folder.rglob("fit-*.npz")}


def without_seconds(content: dict[str, Any]) -> dict[str, Any]:
    lines = [{name: value for name, value in line.items() if name != "seconds"} for line in content["policies"]]
    return {**content, "policies": lines, "recommendation": content["recommendation"]["policy"]}


def test_policies_are_compared_and_settings_recommended(changing, shell):
    out = done(shell("backtest", changing.job.name, *LIVED, *POLICIES))
    for name in ("never", "every-4", "every-4-ungated", "governor"):
        assert f"│ {name} " in out
    advice = result(changing)["recommendation"]
    assert advice["policy"] in ("every-4", "governor")  # never is worse; without a gate there are no settings
    assert f"recommended: {advice['sentence']}" in out
    assert all(f"  {line}" in out for line in advice["settings"].splitlines())
    content = result(changing)
    never, gated, ungated, _ = content["policies"]
    assert (never["gain"]["value"], never["retrainings"]) == (0, 0)
    assert ungated["gain"]["low"] > 0
    assert ungated["retrainings"] == ungated["promoted"] == 6
    assert 0 < gated["kept"] <= 1.2
    assert content["nights"] == len(content["days"]) == len(never["curve"]) == NIGHTS - 8
    assert content["ageing"][0]["gain"]["value"] is not None


def test_json_holds_the_figures(changing, shell):
    content = json.loads(
        done(shell("backtest", changing.job.name, *LIVED, "--policies", "never,every-4-ungated", "--json"))
    )
    assert [line["policy"] for line in content["policies"]] == ["never", "every-4-ungated"]
    assert content["policies"][1]["gain_over_never_95_interval"]["low"] > 0
    assert content["recommendations"][0]["policy"] == "never"  # the only one with settings


def test_second_call_fits_nothing_and_finds_the_same(changing, shell):
    done(shell("backtest", changing.job.name, *LIVED, *POLICIES))
    before, first = fits(changing), result(changing)
    assert len(before) > 10
    done(shell("backtest", changing.job.name, *LIVED, *POLICIES))
    assert fits(changing) == before
    assert result(changing) == first


def test_killed_call_goes_on_where_it_was(changing, shell, settings):
    done(shell("backtest", changing.job.name, *LIVED, *POLICIES))
    whole = without_seconds(result(changing))
    for path in fits(changing):
        path.unlink()
    command = nightshift("backtest", changing.job.name, *LIVED, *POLICIES)
    here = {**settings.environment(), "PYTHONPATH": os.pathsep.join([str(changing.folder), str(Path.cwd())])}
    with subprocess.Popen(command, env=child_environment(here), cwd=changing.folder) as child:
        while len(fits(changing)) < 3 and child.poll() is None:
            time.sleep(0.02)
        child.send_signal(signal.SIGKILL)
    left = fits(changing)
    assert 3 <= len(left) < 12
    done(shell("backtest", changing.job.name, *LIVED, *POLICIES))
    assert {path: written for path, written in fits(changing).items() if path in left} == left
    assert without_seconds(result(changing)) == whole


def test_changed_rows_are_fitted_anew(changing, shell):
    asked = ("--policies", "never,every-4-ungated")
    done(shell("backtest", changing.job.name, *LIVED, *asked))
    before = fits(changing)
    execute(changing.source, "update events set x = x + 0.001 where id = 1")
    done(shell("backtest", changing.job.name, *LIVED, *asked))
    assert {path.name for path in fits(changing)} == {path.name for path in before}
    assert len({path.parent for path in fits(changing)}) == 2


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        (("--to", "2024-12-30"), "NightNotOver", "give an earlier --to"),
        (("--from", "2024-01-01"), "TrainingDataError", "begin later, with --from"),
        (("--from", "2024-01-30", "--to", "2024-01-20"), "NightError", "a first night not after the last"),
    ],
)
def test_nights_that_cannot_be_lived_are_refused(changing, shell, arguments, error, words):
    given = {"--from": LIVED[1], "--to": LIVED[3], **dict(zip(arguments[::2], arguments[1::2], strict=True))}
    if given["--to"] == "2024-12-30":
        given["--to"] = str(date.max.replace(year=2999))
    said = shell("backtest", changing.job.name, *(part for pair in given.items() for part in pair))
    assert words in refused(said, error)
    assert not fits(changing)


def test_unknown_policy_is_refused_with_those_there_are(changing, shell: Shell):
    said: Said = shell("backtest", changing.job.name, "--policies", "never,hourly,never-ungated")
    assert said.code == 2
    assert "hourly, never-ungated" in " ".join(said.err.split())
    assert "every-N" in said.err
