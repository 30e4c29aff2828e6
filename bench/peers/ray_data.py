"""A night by Ray Data: ``read_sql``, ``map_batches`` with actors, ``write_parquet``, ``write_sql``, as its documentation has it.

Run in .venv-bench: ``python bench/peers/ray_data.py arguments.json``. Prints its facts as one line of JSON.
"""

from __future__ import annotations

import json
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
import ray

BATCH_ROWS = 10_000
"""Rows of a call of the model; 1,024, the default, is slower."""


class Predictor:
    """Loads the model once in each actor, and scores batches."""

    def __init__(self, arguments: dict[str, Any]) -> None:
        import mlflow

        self._model = mlflow.sklearn.load_model(arguments["model"])
        self._features, self._key = arguments["features"], arguments["key"]
        self._numbers = dict.fromkeys(arguments["numbers"], "float64")  # scikit-learn refuses Arrow's nulls

    def __call__(self, batch: Any) -> Any:
        probability = self._model.predict_proba(batch[self._features].astype(self._numbers))[:, 1]
        return batch[self._key].assign(prediction=probability >= 0.5, probability=probability)


def main(arguments: dict[str, Any]) -> dict[str, Any]:
    """Score the night; return the rows and the seconds until Parquet was written, and those of the load."""
    began = time.perf_counter()
    ray.init(
        num_cpus=2, _node_ip_address="127.0.0.1", include_dashboard=False, log_to_driver=False, configure_logging=False
    )
    ray.data.DataContext.get_current().enable_progress_bars = False
    started = time.perf_counter()
    rows = ray.data.read_sql(arguments["query"], partial(psycopg.connect, arguments["source"]))
    scored = rows.map_batches(
        Predictor,
        fn_constructor_args=(arguments,),
        batch_size=BATCH_ROWS,
        batch_format="pandas",
        compute=ray.data.ActorPoolStrategy(min_size=1, max_size=2),
    )
    scored.write_parquet(arguments["parquet"])
    written = time.perf_counter()
    names = [*arguments["key"], "prediction", "probability"]
    values = ", ".join(["%s"] * len(names))
    kept = ray.data.read_parquet(arguments["parquet"], columns=names)
    kept.write_sql(
        f"insert into {arguments['table']} ({', '.join(names)}) values ({values})",
        partial(psycopg.connect, arguments["target"]),
    )
    ended = time.perf_counter()
    count = kept.count()
    ray.shutdown()
    return {
        "rows": count,
        "start_seconds": started - began,
        "score_seconds": written - started,
        "load_seconds": ended - written,
    }


if __name__ == "__main__":
    facts = main(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))
    print(json.dumps(facts))
