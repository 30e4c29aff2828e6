"""Whatever is sent: an answer that says what was wrong, never a failure of the server."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from serving.answers import answer
from serving.columns import batch_of, kinds_of
from serving.desk import say
from serving.limits import Refused
from serving.versions import Answering
from tests.conftest import Toy
from tests.support.serving import GOOD, Serve
from tests.support.toy import execute, train_champion

QUIET = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(-(10**40), 10**40),
    st.floats(),
    st.text(),
    st.text(st.characters(categories=["Cs", "Cc", "Lu"])),
    st.sampled_from(
        ["1", "1.5", "NaN", "2024-01-07", "2024-01-07T10:00:00+02:00", "2024-13-40", "true", "\0", "inf", "?"]
    ),
    st.lists(st.integers(), max_size=2),
    st.dictionaries(st.text(max_size=2), st.none(), max_size=2),
)
ROWS = st.fixed_dictionaries(
    {}, optional={"at": VALUES | st.just(GOOD["at"]), "id": VALUES | st.integers(0, 5), "x": VALUES, "kind": VALUES}
)
PLAIN = st.fixed_dictionaries(
    {
        "at": st.datetimes().map(lambda at: at.isoformat() + "Z") | st.just(GOOD["at"]),
        "id": st.integers(-(2**63), 2**63 - 1),
        "x": st.none() | st.floats() | st.integers(-60, 60),
        "kind": st.text(max_size=4) | st.text(st.characters(categories=["Cs", "Cc"]), max_size=2),
    }
)


@pytest.fixture
def by(toy: Toy, serve: Serve) -> Answering:
    """Who answers for the toy job."""
    _, office = serve()
    answering = office.seats.by_job[toy.job.name].answering
    assert answering is not None
    return answering


def refused_in_a_sentence(by: Answering, body: bytes) -> bool:
    try:
        said = say(by, body)
    except Refused as refused:
        assert refused.status in (400, 422)
        assert refused.detail
        return True
    answers = json.loads(said.body)["predictions"]
    assert all(("prediction" in row) != bool(row.get("reasons")) for row in answers)
    return said.status == 422


def test_wild_rows_are_answered_row_by_row(by: Answering) -> None:
    @QUIET
    @given(st.lists(ROWS | VALUES, min_size=1, max_size=6))
    def check(rows: list[Any]) -> None:
        body = json.dumps({"rows": rows}).encode()
        refused_in_a_sentence(by, body)
        assert len(answer(by, json.loads(body)["rows"]).rows) == len(rows)

    check()


def test_wild_bodies_are_refused_in_a_sentence(by: Answering) -> None:
    @QUIET
    @given(st.binary(max_size=200) | VALUES.map(lambda value: json.dumps(value).encode()))
    def check(body: bytes) -> None:
        assert refused_in_a_sentence(by, body)

    check()


def test_plain_rows_are_those_that_the_contract_accepts_as_they_are(by: Answering) -> None:
    """Python's look at few rows and the contract's at many give the same rows and the same predictions."""
    contract, kinds = by.champion.contract, kinds_of(by.champion.job)

    @QUIET
    @given(st.lists(PLAIN | ROWS, min_size=1, max_size=3))
    def check(rows: list[Any]) -> None:
        rows = json.loads(json.dumps(rows))
        plain = by.champion.plain.batch(rows)
        if plain is not None:
            split = contract.split(batch_of(rows, kinds))
            assert split.reasons == {}
            assert split.accepted.equals(plain)

    check()
    assert by.champion.plain.batch([GOOD]) is not None


@pytest.mark.parametrize(
    ("change", "reasons"),
    [
        ({"x": "far"}, ["x:type"]),
        ({"x": float("nan")}, ["x:not_finite"]),
        ({"x": 10**400}, ["x:not_finite"]),
        ({"x": -51}, ["x:below_min"]),
        ({"x": [1]}, ["x:type"]),
        ({"kind": None}, ["kind:null"]),
        ({"kind": {"a": 1}}, ["kind:not_text"]),
        ({"kind": "\ud800"}, ["kind:not_text"]),
        ({"kind": "a\0"}, ["kind:not_text"]),
        ({"id": 2**63}, ["id:type"]),
        ({"id": None}, ["id:null"]),
        ({"at": 1704621600}, ["at:type"]),
        ({"at": "tomorrow"}, ["at:type"]),
    ],
)
def test_bad_row_has_the_reasons_of_the_quarantine(by: Answering, change: dict[str, Any], reasons: list[str]) -> None:
    answers = answer(by, [GOOD, {**GOOD, "id": 2, **change}]).rows
    assert "probability" in answers[0]
    assert answers[1] == {"reasons": reasons}


def test_rows_that_are_no_rows_and_keys_that_repeat(by: Answering) -> None:
    without = {name: value for name, value in GOOD.items() if name != "x"}
    answers = answer(by, [without, 7, GOOD, GOOD, {**GOOD, "id": 2, "more": "is ignored"}]).rows
    assert [row.get("reasons") for row in answers] == [
        ["x:missing"],
        ["row:not_an_object"],
        ["duplicate_key"],
        ["duplicate_key"],
        None,
    ]


def test_only_kinds_of_a_category_that_was_trained_on(toy: Toy, serve: Serve) -> None:
    toy.change(
        features={
            "x": {"type": "float", "nullable": True, "min": -50},
            "kind": {"type": "category", "unknown": "quarantine"},
        }
    )
    _, office = serve()
    by = office.seats.by_job[toy.job.name].answering
    assert by is not None
    answers = answer(by, [GOOD, {**GOOD, "id": 2, "kind": "new"}]).rows
    assert answers[1] == {"reasons": ["kind:unknown_category"]}


def chunks(*parts: bytes) -> Iterator[bytes]:
    yield from parts


BODY = json.dumps({"rows": [GOOD]}).encode()
MANY = json.dumps({"rows": [{**GOOD, "id": n} for n in range(10_001)]}).encode()


@pytest.mark.parametrize(
    ("content", "headers", "status", "words"),
    [
        (BODY, {"content-type": "text/plain"}, 415, "text/plain"),
        (BODY, {"content-type": ""}, 415, "content-type"),
        (gzip.compress(b"[" * 10**7), {"content-encoding": "gzip"}, 415, "gzip"),
        (b"", {}, 400, "no JSON"),
        (b"[" * 1000000, {}, 400, "brackets"),
        (b'{"rows": [' + b"9" * 5000 + b"]}", {}, 400, "no JSON"),
        (b'{"rows": []}', {}, 422, "0 rows"),
        (b'{"rows": {}}', {}, 422, "no list"),
        (MANY, {}, 422, "10,001 rows"),
        (b" " * (2**20 + 1), {}, 413, "1 MiB"),
        (chunks(*[b" " * 2**16] * 20), {}, 413, "1 MiB"),
        (BODY.decode().encode("utf-16"), {}, 200, "probability"),
        (chunks(BODY[:9], BODY[9:]), {}, 200, "probability"),
        (b'{"rows": [{"at": 1, "at": "2024-01-07T10:00:00Z", "id": 1, "x": 1, "kind": "a"}]}', {}, 200, "probability"),
    ],
)
def test_bodies(serve: Serve, toy: Toy, content: Any, headers: dict[str, str], status: int, words: str) -> None:
    limit = 1 if status == 413 else 16
    client, _ = serve(body_mib=limit)
    sent = client.post(
        f"/v1/jobs/{toy.job.name}/predictions", content=content, headers={"content-type": "application/json", **headers}
    )
    assert sent.status_code == status, sent.text
    assert words in sent.text


def test_rows_that_the_model_fails_on_are_no_error_of_the_server(untrained: Toy, serve: Serve) -> None:
    execute(untrained.source, "alter table events alter column y type double precision using coalesce(x, 0)")
    untrained.change(task="regression", pipeline="tests.support.pipelines:build_superstitious")
    train_champion(untrained.work)
    client, _ = serve()
    path = f"/v1/jobs/{untrained.job.name}/predictions"
    answer = client.post(path, json={"rows": [{**GOOD, "x": 13.0}]})
    assert (answer.status_code, "found ValueError: 13" in answer.json()["detail"]) == (503, True)
    assert client.post(path, json={"rows": [GOOD]}).status_code == 200


def test_body_that_does_not_come_is_given_up(serve: Serve, toy: Toy) -> None:
    import asyncio

    from serving.limits import body_of

    async def never() -> Any:
        yield b"{"
        await asyncio.sleep(60)

    with pytest.raises(Refused, match="not sent in"):
        asyncio.run(body_of(never(), None, 1, 0.05))


def test_job_that_is_not_served_and_methods_that_are_not_there(serve: Serve, toy: Toy) -> None:
    client, _ = serve()
    assert client.post("/v1/jobs/nobody/predictions", json={"rows": [GOOD]}).status_code == 404
    assert client.put(f"/v1/jobs/{toy.job.name}/predictions", json={"rows": [GOOD]}).status_code == 405
