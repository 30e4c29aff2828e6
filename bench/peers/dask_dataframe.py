"""A night by Dask: ``read_sql_query``, ``map_partitions``, ``to_parquet``, ``to_sql``, as its documentation has it.

Run in .venv-bench: ``python bench/peers/dask_dataframe.py arguments.json``. Prints its facts as one line of JSON.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import dask.dataframe as dd
import mlflow
import numpy as np
import pandas as pd
import sqlalchemy as sa

PART_ROWS = 100_000
"""Rows of a partition, about 100 MB with the features' text, as the documentation advises."""


def main(arguments: dict[str, Any]) -> dict[str, Any]:
    """Score the night; return the rows and the seconds until Parquet was written, and those of the load."""
    started = time.perf_counter()
    model = mlflow.sklearn.load_model(arguments["model"])
    names = list(dict.fromkeys([*arguments["key"], *arguments["features"]]))
    night = sa.text(arguments["query"]).columns(*map(sa.column, names)).subquery("night")
    engine = sa.create_engine(arguments["source_url"])
    with engine.connect() as connection:
        rows = connection.execute(sa.select(sa.func.count()).select_from(night)).scalar_one()
        head = pd.read_sql(sa.select(night).limit(1_000), connection, index_col="flight")
    frame = dd.read_sql_query(
        sa.select(night),
        arguments["source_url"],
        index_col="flight",
        npartitions=max(2, rows // PART_ROWS),
        meta=head.iloc[:0],
    )

    def scored(part: pd.DataFrame) -> pd.DataFrame:
        part = part.reset_index()
        probability = model.predict_proba(part[arguments["features"]])[:, 1] if len(part) else np.empty(0)
        return part[arguments["key"]].assign(prediction=probability >= 0.5, probability=probability)

    meta = head.iloc[:0].reset_index()[arguments["key"]].assign(prediction=False, probability=0.0)
    frame.map_partitions(scored, meta=meta).to_parquet(arguments["parquet"], write_index=False)
    written = time.perf_counter()
    kept = dd.read_parquet(arguments["parquet"])
    kept.to_sql(arguments["table"], arguments["target_url"], if_exists="replace", index=False)
    ended = time.perf_counter()
    return {
        "rows": len(kept),
        "start_seconds": 0.0,
        "score_seconds": written - started,
        "load_seconds": ended - written,
    }


if __name__ == "__main__":
    facts = main(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))
    print(json.dumps(facts))
