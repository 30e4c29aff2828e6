"""What a night publishes, and what is answered on demand, is the same."""

from __future__ import annotations

import pyarrow as pa
from sklearn.linear_model import LinearRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import Pipeline, make_pipeline

from scoring.stores import RunFolder
from scoring.stores.warehouse import ledger
from tests.conftest import Toy
from tests.support.living import score
from tests.support.serving import Serve, as_json
from tests.support.toy import NIGHT, build_pipeline, execute, train_champion


def test_published_night_sent_to_the_api_equals_the_table_bit_for_bit(toy: Toy, serve: Serve) -> None:
    run_id = score(toy, NIGHT)
    folder = RunFolder(toy.work.lake, ledger.get(toy.work.warehouse, run_id))
    parts = [toy.work.lake.table(folder.part("features", number)) for number in folder.chunks]
    published = pa.concat_tables(toy.work.lake.table(folder.part("predictions", number)) for number in folder.chunks)
    client, _ = serve()
    rows = as_json(pa.concat_tables(parts))
    whole = client.post(f"/v1/jobs/{toy.job.name}/predictions", json={"rows": rows})
    assert whole.status_code == 200, whole.text
    single = [client.post(f"/v1/jobs/{toy.job.name}/predictions", json={"rows": [row]}).json() for row in rows[:20]]
    answers = whole.json()["predictions"]
    assert [one["predictions"][0] for one in single] == answers[:20]
    assert [row["prediction"] for row in answers] == published.column("prediction").to_pylist()
    assert [row["probability"] for row in answers] == published.column("probability").to_pylist()
    assert len(answers) == published.num_rows > 100


def test_reasons_that_are_asked_for_are_those_of_the_night(toy: Toy, serve: Serve) -> None:
    toy.change(reasons={"top": 2})
    run_id = score(toy, NIGHT)
    folder = RunFolder(toy.work.lake, ledger.get(toy.work.warehouse, run_id))
    rows = as_json(pa.concat_tables(toy.work.lake.table(folder.part("features", number)) for number in folder.chunks))
    at_night = pa.concat_tables(toy.work.lake.table(folder.part("reasons", number)) for number in folder.chunks)
    client, _ = serve()
    path = f"/v1/jobs/{toy.job.name}/predictions"
    bad = {**rows[0], "id": -1, "x": -99}
    answers = client.post(f"{path}?reasons=2", json={"rows": [*rows, bad]}).json()["predictions"]
    assert answers[-1] == {"reasons": ["x:below_min"]}
    said = [part for answer in answers[:-1] for part in answer["contributions"]]
    assert said == at_night.select(["feature", "value", "contribution"]).to_pylist()
    assert "contributions" not in client.post(path, json={"rows": rows[:1]}).json()["predictions"][0]
    for text in ("-1", "three", "101", "1e1", "٣"):
        refused = client.post(path, params={"reasons": text}, json={"rows": rows[:1]})
        assert (refused.status_code, "expected a number of features" in refused.text) == (422, True), text


def test_pipeline_without_exact_reasons_says_so(untrained: Toy, serve: Serve) -> None:
    untrained.change(pipeline="tests.serving.test_night_and_api:nearest")
    train_champion(untrained.work)
    client, _ = serve()
    path = f"/v1/jobs/{untrained.job.name}/predictions"
    row = {"at": "2024-01-07T01:00:00Z", "id": 1, "x": 0.5, "kind": "a"}
    assert client.post(path, json={"rows": [row]}).status_code == 200
    refused = client.post(f"{path}?reasons=3", json={"rows": [row]})
    assert (refused.status_code, "KNeighborsClassifier" in refused.text) == (422, True), refused.text


def nearest() -> Pipeline:
    """Return an unfitted pipeline of a kind that has no exact reasons."""
    return make_pipeline(*build_pipeline().steps[0][1:], KNeighborsClassifier())


def test_intervals_are_those_of_the_night(untrained: Toy, serve: Serve) -> None:
    execute(untrained.source, "alter table events alter column y type double precision using x + y::int")
    untrained.change(
        task="regression", label={"column": "y"}, interval=0.8, pipeline="tests.serving.test_night_and_api:line"
    )
    train_champion(untrained.work)
    run_id = score(untrained, NIGHT)
    folder = RunFolder(untrained.work.lake, ledger.get(untrained.work.warehouse, run_id))
    tables = [
        [untrained.work.lake.table(folder.part(kind, n)) for n in folder.chunks] for kind in ("features", "predictions")
    ]
    features, published = map(pa.concat_tables, tables)
    client, _ = serve()
    answers = client.post(f"/v1/jobs/{untrained.job.name}/predictions", json={"rows": as_json(features)}).json()
    for name in ("prediction", "lower", "upper"):
        assert [row[name] for row in answers["predictions"]] == published.column(name).to_pylist(), name
    assert answers["predictions"][0]["lower"] < answers["predictions"][0]["upper"]


def line() -> Pipeline:
    """Return an unfitted regression."""
    return make_pipeline(*build_pipeline().steps[0][1:], LinearRegression())
