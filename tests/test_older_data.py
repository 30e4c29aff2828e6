"""What the version before the move into rooms left behind is read, scored on and published by this one."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from pydantic import SecretStr

from drift.watch import watch
from pages.content import Places, job_page, night_page, version_page
from scoring.job.files import find_job
from scoring.night.difference import diff_runs
from scoring.night.request import NightRequest
from scoring.night.run import run_night
from scoring.settings import HOME, Settings, child_environment
from scoring.stores.installation import Stores, open_stores
from scoring.stores.warehouse import ledger, monitoring, retrainings
from scoring.stores.warehouse.schema import ensure_job, migrate
from scoring.stores.workspace import Workspace
from scoring.upkeep.verify import verify
from tests.conftest import drop_database, installed, new_database, secret
from tests.support.toy import NIGHT, ROWS

pytestmark = pytest.mark.slow

BEFORE = "ae7f2df"
"""The last commit in which ``scoring`` was one flat folder and the lifecycle of a version was told in two packages."""
OLDER = """
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from drift.monitor import conclude, watch
from drift.retraining import retrain
from drift.retraining_record import Request as Asked
from scoring.nightly import Request, run_night
from scoring.settings import load_settings
from scoring.stores import open_stores
from scoring.warehouse.schema import ensure_job
from tests.toy import FIRST, NIGHT, UNTIL, write_job
stores = open_stores(load_settings(), lambda: datetime.now(UTC))
job = write_job(Path(sys.argv[1]), sys.argv[2])
ensure_job(stores.warehouse, job)
assert retrain(stores, job, Asked("first version", night=UNTIL, since=FIRST))["state"] == "promoted"
for night in (NIGHT, NIGHT + timedelta(days=1)):
    done = run_night(stores, job, Request(night, datetime.now(UTC), "cli"))
    watch(stores, job, done.run_id)
    conclude(stores, job, done.run_id)
"""
JOB = "older"


@pytest.fixture(scope="module")
def older(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The code of before, unpacked from the history."""
    folder = tmp_path_factory.mktemp("before")
    archive = subprocess.run(["git", "archive", BEFORE], cwd=HOME, capture_output=True, check=False)
    if archive.returncode:
        pytest.skip(f"the history is not here (a shallow clone?): {archive.stderr.decode().strip()}")
    subprocess.run(["tar", "-x", "-C", str(folder)], input=archive.stdout, check=True)
    return folder


@pytest.fixture(scope="module")
def lived(
    data_dir: Path, template: str, toy_source: str, older: Path, tmp_path_factory: pytest.TempPathFactory
) -> Settings:
    """Settings of an installation in which the code of before trained a version, scored two nights, judged and decided."""
    settings = installed(data_dir, template, tmp_path_factory.mktemp("lived"), toy_source)
    environment = {**settings.environment(), "PYTHONPATH": str(older)}
    command = [sys.executable, "-c", OLDER, str(settings.jobs_dir.parent), JOB]
    made = subprocess.run(
        command, env=child_environment(environment), cwd=older, capture_output=True, text=True, timeout=240, check=False
    )
    assert made.returncode == 0, made.stderr
    path = settings.jobs_dir / f"{JOB}.yaml"
    path.write_text(path.read_text().replace("tests.toy:", "tests.support.toy:"))
    return settings


@pytest.fixture
def stores(lived: Settings, data_dir: Path, tmp_path: Path) -> Iterator[Stores]:
    """A copy of that installation; the source and the versions are shared, nobody changes them."""
    folder = tmp_path / "copy"
    shutil.copytree(lived.data_dir, folder)
    warehouse = new_database(data_dir, sa.make_url(secret(lived.warehouse_url)).database)
    places = {"data_dir": folder, "jobs_dir": folder / "jobs", "sql_dir": folder / "sql"}
    opened = open_stores(
        lived.model_copy(update={**places, "warehouse_url": SecretStr(warehouse)}), lambda: datetime.now(UTC)
    )
    migrate(opened.warehouse)
    yield opened
    opened.warehouse.engine.dispose()
    drop_database(data_dir, warehouse)


def test_installation_of_before_goes_on(stores: Stores) -> None:
    job = find_job(stores.settings.jobs_dir, JOB)
    (before,) = ledger.runs_of(stores.warehouse, JOB, NIGHT)
    assert verify(Workspace(stores, job)) == []

    again = run_night(Workspace(stores, job), NightRequest(NIGHT, stores.clock(), "cli"))
    run = ledger.get(stores.warehouse, again.run_id)
    assert run.snapshot_hash == before.snapshot_hash
    assert run.predictions_hash == before.predictions_hash
    assert run.model_sha256 == before.model_sha256
    difference = diff_runs(Workspace(stores, job), before, run)
    assert difference.rows_compared == ROWS
    assert difference.rows_changed == 0

    verdict = watch(Workspace(stores, job), before.run_id)
    kept = monitoring.drift_of(stores.warehouse, before.run_id)
    assert kept is not None
    assert verdict.verdict == kept.verdict
    assert verify(Workspace(stores, job)) == []


def test_pages_show_what_was_made_before(stores: Stores) -> None:
    job = find_job(stores.settings.jobs_dir, JOB)
    places = Places(stores.warehouse, stores.lake, lambda name: job)
    night, nights, version = night_page(places, JOB, NIGHT), job_page(places, JOB, None), version_page(places, JOB, 1)
    assert night is not None
    assert night["drift"] is not None
    assert nights is not None
    assert len(nights["decisions"]) == 2
    assert version is not None
    assert version["view"] is not None
    (retraining,) = retrainings.of_job(stores.warehouse, JOB)
    assert retraining.state == "promoted"


def test_views_that_are_younger_than_the_installation_are_there(stores: Stores) -> None:
    job = find_job(stores.settings.jobs_dir, JOB)
    ensure_job(stores.warehouse, job)  # as `migrate` does for every job
    newest, thresholds, status = (
        stores.warehouse.query(sql)[1]
        for sql in (
            f"select night, count(*) from {JOB}_predictions_newest group by night",
            "select count(*), sum(positives) > 0 from decisions_by_threshold where recall is null",
            "select missing from scoring_status",
        )
    )
    assert sum(count for _, count in newest) == 2 * ROWS  # a key of the toy is on one night
    assert thresholds == [(2 * 19, True)]  # judged, and never measured
    assert len(status[0][0]) == 1
    silent = """select count(*) from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attnum > 0
        where c.relname like 'older_predictions%' and c.relkind = 'v' and col_description(c.oid, a.attnum) is null"""
    assert stores.warehouse.query(silent)[1] == [(0,)]


def test_night_of_before_can_be_released_again(stores: Stores) -> None:
    from scoring.night.publish import release

    job = find_job(stores.settings.jobs_dir, JOB)
    (before,) = ledger.runs_of(stores.warehouse, JOB, NIGHT + timedelta(days=1))
    run_night(Workspace(stores, job), NightRequest(NIGHT + timedelta(days=1), stores.clock(), "cli"))
    assert release(Workspace(stores, job), before.run_id).rows == ROWS
    assert ledger.published(stores.warehouse, JOB, before.night)[before.night] == before.run_id
