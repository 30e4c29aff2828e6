"""What a publication read and wrote, as OpenLineage has it. Only the provider asks, so its libraries are there by then."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from orchestration.context import current_stores
from scoring.job import Job
from scoring.stores import Stores
from scoring.stores.warehouse import Run, ledger

TAGS = ("job", "night", "run_id", "model_version", "model_sha256", "rows_extracted", "rows_quarantined", "rows_scored")
"""Facts of the ledger that go with the run."""


def lineage_of(job: Job, run_id: str) -> Any:
    """Return the lineage of a published run: its snapshot on the lake, the table, the night's lake object, and counts."""
    from airflow.providers.openlineage.extractors import OperatorLineage
    from openlineage.client.facet_v2 import tags_run

    stores = current_stores()
    run = ledger.get(stores.warehouse, run_id, job.name)
    snapshot, table, night = datasets_of(stores, job, run)
    stores.warehouse.engine.dispose()  # the task has ended: nobody asks the warehouse any more
    tags = [tags_run.TagsRunFacetFields(name, str(run.facts[name]), "NIGHTSHIFT") for name in TAGS]
    return OperatorLineage(
        inputs=[_read(*snapshot, run)],
        outputs=[_written(*table, run), _written(*night, run)],
        run_facets={"tags": tags_run.TagsRunFacet(tags=tags)},
    )


def datasets_of(stores: Stores, job: Job, run: Run) -> list[tuple[str, str]]:
    """Return namespace and name of the run's snapshot on the lake, of the table, and of the night's lake object."""
    lake = stores.lake
    snapshot, night = lake.run_folder(job.name, run.night, run.run_id), lake.current(job.name, run.night)
    return [dataset_of(lake.url(snapshot)), table_of(stores, job), dataset_of(lake.url(night))]


def table_of(stores: Stores, job: Job) -> tuple[str, str]:
    """Return the namespace and name of the job's table of predictions, as OpenLineage names tables of PostgreSQL."""
    url = stores.warehouse.engine.url
    return f"postgres://{url.host or 'localhost'}:{url.port or 5432}", (
        f"{url.database}.public.{job.name}_predictions_history"
    )


def dataset_of(address: str) -> tuple[str, str]:
    """Return the namespace and name of a file or folder of the lake, from its URL or path, as OpenLineage names them.

    >>> dataset_of("s3://bucket/lake/predictions"), dataset_of("/data/lake/predictions")
    (('s3://bucket', 'lake/predictions'), ('file', '/data/lake/predictions'))
    """
    url = urlsplit(address)
    if url.scheme in ("", "file"):
        return "file", url.path
    return f"{url.scheme}://{url.hostname or ''}", url.path.lstrip("/")


def _read(namespace: str, name: str, run: Run) -> Any:
    from openlineage.client.event_v2 import InputDataset

    return InputDataset(namespace, name, facets={"version": _version(run.snapshot_hash or run.run_id)})


def _written(namespace: str, name: str, run: Run) -> Any:
    from openlineage.client.event_v2 import OutputDataset
    from openlineage.client.facet_v2 import output_statistics_output_dataset

    rows = output_statistics_output_dataset.OutputStatisticsOutputDatasetFacet(rowCount=run.rows_loaded)
    facets = {"version": _version(run.run_id)}
    return OutputDataset(namespace, name, facets=facets, outputFacets={"outputStatistics": rows})


def _version(text: str) -> Any:
    from openlineage.client.facet_v2 import dataset_version_dataset

    return dataset_version_dataset.DatasetVersionDatasetFacet(datasetVersion=text)
