"""``GET …/predictions/{key}``: the row that a night published."""

from __future__ import annotations

from urllib.parse import quote

import pytest

from serving.openapi import openapi
from serving.published import key_in
from tests.conftest import Toy
from tests.support.living import score
from tests.support.serving import Serve
from tests.support.toy import NIGHT, execute, train_champion


def test_published_row_of_a_composite_key(toy: Toy, serve: Serve) -> None:
    run_id = score(toy, NIGHT)
    client, _ = serve()
    names, rows = toy.work.warehouse.query(f"select * from {toy.job.name}_predictions order by id limit 3")
    for row in rows:
        expected = dict(zip(names, row, strict=True))
        answer = client.get(f"/v1/jobs/{toy.job.name}/predictions/{quote(expected['at'].isoformat())}/{expected['id']}")
        assert answer.status_code == 200, answer.text
        content = answer.json()
        assert (content["probability"], content["prediction"]) == (expected["probability"], expected["prediction"])
        assert (content["night"], content["run_id"], content["model_version"]) == (str(NIGHT), run_id, 1)
    assert client.get(f"/v1/jobs/{toy.job.name}/predictions/2024-01-07T00:00:00Z/99999").status_code == 404


def test_published_row_has_the_ends_of_its_interval(untrained: Toy, serve: Serve) -> None:
    execute(untrained.source, "alter table events alter column y type double precision using coalesce(x, 0)")
    untrained.change(task="regression", pipeline="tests.support.pipelines:build_linear", interval=0.8)
    train_champion(untrained.work)
    score(untrained, NIGHT)
    client, _ = serve()
    ((at, number, lower, upper),) = untrained.work.warehouse.query(
        f"select at, id, lower, upper from {untrained.job.name}_predictions order by id limit 1"
    )[1]
    path = f"/v1/jobs/{untrained.job.name}/predictions/{quote(at.isoformat())}/{number}"
    content = client.get(path).json()
    assert (content["lower"], content["upper"]) == (lower, upper) and lower < content["prediction"] < upper


@pytest.mark.parametrize("key", ["1", "2024-01-07/1/2", "now/1", "2024-01-07/one", "2024-01-07/%ff", "2024-01-07/"])
def test_key_that_is_none_is_refused_in_a_sentence(toy: Toy, serve: Serve, key: str) -> None:
    client, _ = serve(ready=False)
    answer = client.get(f"/v1/jobs/{toy.job.name}/predictions/{key}")
    assert (answer.status_code, "found" in answer.json()["detail"]) == (422, True)


def test_slash_in_a_key_is_written_as_percent_2f(toy: Toy) -> None:
    job = toy.change(time_column=None, key={"name": "string", "id": "int"})
    assert key_in(b"/v1/jobs/x/predictions/7/a%2Fb%20c", job) == {"id": 7, "name": "a/b c"}


def test_description_has_a_request_for_every_job_with_its_rules(toy: Toy, serve: Serve) -> None:
    client, _ = serve(ready=False)
    content = client.get("/openapi.json").json()
    assert content == openapi([toy.job], secured=False)
    row = content["components"]["schemas"][f"{toy.job.name}_row"]
    assert set(row["required"]) == {"at", "id", "x", "kind"}
    assert row["properties"]["at"]["format"] == "date-time"
    assert row["properties"]["x"]["anyOf"] == [{"minimum": -50, "type": "number"}, {"type": "null"}]
    assert content["paths"][f"/v1/jobs/{toy.job.name}/predictions"]["post"]["requestBody"]["required"]
    assert client.get("/docs").status_code == 200
