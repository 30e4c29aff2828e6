"""``python -m bench.reasons``: what reasons cost for a million rows, and how far they are from the margin, on a version of a job.

Prints a table: CPU seconds for a million rows of scoring, of scikit-learn's own prediction, and of the reasons of all of them.
The rows are those that the version was trained on, over and over.
"""

from __future__ import annotations

from time import process_time
from typing import Annotated

import numpy as np
import pyarrow as pa
import typer

from scoring.job import find_job
from scoring.rows import one_thread, predict
from scoring.rows.reasons import Explainer
from scoring.settings import load_settings
from scoring.stores import open_stores
from scoring.stores.registry import REFERENCE_FILE

MILLION = 1_000_000


def main(
    job: Annotated[str, typer.Option(help="A job with a version.")] = "flight_delay",
    version: Annotated[int, typer.Option(help="The version.")] = 1,
    rows: Annotated[int, typer.Option(help="Rows that are measured.")] = 50_000,
) -> None:
    """Measure one version of a job of the installation that the settings name."""
    from cli.arguments import now

    settings = load_settings()
    stores, job_file = open_stores(settings, now), find_job(settings.jobs_dir, job)
    ref = stores.registry.resolve(job, version)
    model, reference = stores.registry.load(ref, job_file), stores.registry.table(ref, REFERENCE_FILE)
    if reference is None:
        raise SystemExit(f"version {version} of {job} keeps no reference")
    places = pa.array(np.resize(np.arange(reference.num_rows), rows))
    batch = reference.select(job_file.columns).combine_chunks().to_batches()[0].take(places)
    with one_thread():
        began = process_time()
        predictions = model.predict(batch, job_file)
        scored = process_time()
        predict(model.pipeline, batch, job_file, model.rule)
        by_pipeline = process_time()
        explainer = Explainer(model.pipeline, job_file, reference)
        explainer.contributions(model.pipeline, batch.slice(0, 10_000), predictions.slice(0, 10_000))
        made = process_time()
        result = explainer.contributions(model.pipeline, batch, predictions)
        explained = process_time()
    away = np.abs(result.base + result.values.sum(axis=1) - result.margin).max()
    per_million = MILLION / rows
    print(f"{job} version {version}, scored by {model.scored_by}, {rows:,} rows, one thread")
    print(f"scoring            {per_million * (scored - began):8.1f} CPU seconds for a million rows")
    print(f"scikit-learn       {per_million * (by_pipeline - scored):8.1f}")
    print(
        f"reasons of all     {per_million * (explained - made):8.1f}, {(explained - made) / (scored - began):.1f} times scoring"
    )
    print(f"making the tables  {made - by_pipeline:8.1f} CPU seconds once, with the first 10,000 rows")
    print(f"largest distance of base and contributions from the margin: {away:.1e}")


if __name__ == "__main__":
    typer.run(main)
