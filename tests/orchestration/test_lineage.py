"""What `publish` tells OpenLineage, through Airflow's own provider, where that is installed."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest

from orchestration.lineage import dataset_of, datasets_of
from orchestration.publishing import PublishOperator
from scoring.settings import load_settings
from scoring.stores import Lake
from scoring.stores.warehouse import ledger
from tests.conftest import Toy
from tests.support.living import score
from tests.support.s3 import BUCKET, Proxy
from tests.support.toy import NIGHT

WHY = "apache-airflow-providers-openlineage is optional, and not installed here"


@pytest.fixture
def published(toy: Toy, monkeypatch: pytest.MonkeyPatch) -> str:
    """The id of a run that is published in the installation of this process."""
    for name, value in toy.stores.settings.environment().items():
        monkeypatch.setenv(name, value)
    load_settings.cache_clear()
    return score(toy, NIGHT)


def test_files_on_an_object_store_are_datasets_of_its_bucket(toy: Toy, s3: Proxy) -> None:
    run = ledger.get(toy.stores.warehouse, score(toy, NIGHT))
    snapshot, table, night = datasets_of(replace(toy.stores, lake=Lake(f"s3://{BUCKET}/lake")), toy.job, run)
    name = toy.job.name
    assert snapshot == (f"s3://{BUCKET}", f"lake/runs/{name}/night={NIGHT}/{run.run_id}")
    assert table[1].endswith(f".public.{name}_predictions_history")
    assert night == (f"s3://{BUCKET}", f"lake/predictions/{name}/night={NIGHT}/predictions.parquet")


def test_provider_gets_datasets_versions_and_counts(toy: Toy, published: str) -> None:
    managers = pytest.importorskip("airflow.providers.openlineage.extractors.manager", reason=WHY)
    states = pytest.importorskip("airflow.utils.state")
    operator = PublishOperator(task_id="publish", job=toy.job, scoring_run=published)
    run, lake = ledger.get(toy.stores.warehouse, published), toy.stores.lake
    lineage = managers.ExtractorManager().extract_metadata(
        SimpleNamespace(run_id="a run"), operator, states.TaskInstanceState.SUCCESS, SimpleNamespace()
    )
    table, night = lineage.outputs
    assert table.name.endswith(f".public.{toy.job.name}_predictions_history")
    assert (night.namespace, night.name) == dataset_of(lake.current(toy.job.name, NIGHT))
    for written in (table, night):
        assert written.facets["version"].datasetVersion == published
        assert written.outputFacets["outputStatistics"].rowCount == run.rows_loaded
    (snapshot,) = lineage.inputs
    assert snapshot.facets["version"].datasetVersion == run.snapshot_hash
    tags = {tag.key: tag.value for tag in lineage.run_facets["tags"].tags}
    assert (tags["job"], tags["night"], tags["model_version"]) == (toy.job.name, str(NIGHT), str(run.model_version))
