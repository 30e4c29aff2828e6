"""A night by MLflow's ``spark_udf`` on local[2]: JDBC, Parquet, JDBC, as the documentation of both has it.

Run in .venv-bench: ``python bench/peers/spark_udf.py arguments.json``. Prints its facts as one line of JSON.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

os.environ["PYSPARK_PYTHON"] = sys.executable  # the workers' libraries are those of this process

import mlflow
from pyspark.sql import SparkSession
from pyspark.sql.functions import col, struct
from pyspark.sql.types import ArrayType, DoubleType

PARTS = 4
"""Parts that the night is read in, at the same time in two connections."""


def main(arguments: dict[str, Any]) -> dict[str, Any]:
    """Score the night; return the rows and the seconds until Parquet was written, and those of the load."""
    began = time.perf_counter()
    spark = (
        SparkSession.builder.master("local[2]")
        .config("spark.jars", arguments["jar"])
        .config("spark.driver.memory", "4g")
        .config("spark.sql.session.timeZone", "UTC")
        .config("spark.ui.enabled", "false")
        .getOrCreate()
    )
    login = {"user": arguments["user"], "password": arguments["password"], "driver": "org.postgresql.Driver"}
    started = time.perf_counter()
    rows = (
        spark.read.format("jdbc")
        .options(**login, url=arguments["source_jdbc"], dbtable=f"({arguments['query']}) as night", fetchsize="10000")
        .options(partitionColumn="time_hour", lowerBound=arguments["begins"], upperBound=arguments["ends"])
        .option("numPartitions", PARTS)
        .load()
    )
    predict = mlflow.pyfunc.spark_udf(
        spark, model_uri=arguments["model"], result_type=ArrayType(DoubleType()), env_manager="local"
    )
    features = [
        col(name).cast("double").alias(name)
        if name in arguments["numbers"]
        else col(name)  # scikit-learn refuses pandas.NA
        for name in arguments["features"]
    ]
    scored = (
        rows.withColumn("probability", predict(struct(*features))[1])
        .withColumn("prediction", col("probability") >= 0.5)
        .select(*arguments["key"], "prediction", "probability")
    )
    scored.write.mode("overwrite").parquet(arguments["parquet"])
    written = time.perf_counter()
    kept = spark.read.parquet(arguments["parquet"])
    kept.write.mode("overwrite").jdbc(arguments["target_jdbc"], arguments["table"], properties=login)
    ended = time.perf_counter()
    count = kept.count()
    spark.stop()
    return {
        "rows": count,
        "start_seconds": started - began,
        "score_seconds": written - started,
        "load_seconds": ended - written,
    }


if __name__ == "__main__":
    facts = main(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))
    print(json.dumps(facts))
