"""Who may ask: nobody from elsewhere without a key, nobody with a key for other jobs, nobody too often."""

from __future__ import annotations

import json
import stat
from datetime import UTC, datetime

import pytest

from scoring.errors import Permanent, SettingsError
from serving.app import Office, require_keys
from serving.keys import KeyFile
from tests.conftest import Toy
from tests.support.serving import GOOD, Serve

NOW = datetime(2024, 1, 1, tzinfo=UTC)


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def test_key_opens_its_jobs_until_it_is_dropped(toy: Toy, serve: Serve) -> None:
    file = KeyFile(toy.stores.settings)
    key, other, every = (
        file.make("app", [toy.job.name], NOW),
        file.make("b", ["others"], NOW),
        file.make("c", ["*"], NOW),
    )
    client, _ = serve(loopback=False)
    path = f"/v1/jobs/{toy.job.name}/predictions"

    def status(headers: dict[str, str]) -> int:
        return client.post(path, json={"rows": [GOOD]}, headers=headers).status_code

    assert [status(bearer(one)) for one in (key, every, other, "", "ns_wrong", key[:-1])] == [
        200,
        200,
        403,
        401,
        401,
        401,
    ]
    assert [status(headers) for headers in ({}, {"Authorization": key}, {"Authorization": f"Basic {key}"})] == [401] * 3
    assert client.get(f"{path}/2024-01-07T10:00:00Z/1").status_code == 401
    assert [client.get(page).status_code for page in ("/metrics", "/openapi.json", "/docs")] == [401] * 3
    assert [client.get(page, headers=bearer(key)).status_code for page in ("/metrics", "/openapi.json")] == [200] * 2
    assert [client.get(f"/health/{page}").status_code for page in ("live", "ready")] == [200, 200]
    file.drop("app")
    assert status(bearer(key)) == 401


def test_only_hashes_of_keys_are_kept_for_their_owner_only(toy: Toy) -> None:
    file = KeyFile(toy.stores.settings)
    key = file.make("app", ["*"], NOW)
    content = file.path.read_text()
    assert key not in content
    assert json.loads(content)["keys"][0]["name"] == "app"
    assert stat.S_IMODE(file.path.stat().st_mode) == 0o600
    with pytest.raises(Permanent, match="of this name"):
        file.make("app", ["*"], NOW)
    with pytest.raises(Permanent, match="one of these"):
        file.drop("nobody")
    assert file.holder(key) is not None


def test_address_that_others_reach_needs_a_key(toy: Toy) -> None:
    office = Office.of(toy.stores, [toy.job], loopback=False)
    with pytest.raises(SettingsError, match="api-key make"):
        require_keys(office)
    KeyFile(toy.stores.settings).make("app", ["*"], NOW)
    require_keys(office)
    require_keys(Office.of(toy.stores, [toy.job], loopback=True))


def test_broken_file_of_keys_opens_nothing(toy: Toy, serve: Serve) -> None:
    file = KeyFile(toy.stores.settings)
    key = file.make("app", ["*"], NOW)
    client, _ = serve()
    file.path.write_text("{")
    answer = client.post(f"/v1/jobs/{toy.job.name}/predictions", json={"rows": [GOOD]}, headers=bearer(key))
    assert answer.status_code == 503


def test_without_keys_a_page_from_elsewhere_reaches_nothing_through_a_browser(toy: Toy, serve: Serve) -> None:
    client, _ = serve()
    path = f"/v1/jobs/{toy.job.name}/predictions"
    sent = {
        host: client.post(path, json={"rows": [GOOD]}, headers={"host": host})
        for host in ("evil.example", "[::1]:8000")
    }
    assert {host: answer.status_code for host, answer in sent.items()} == {"evil.example": 403, "[::1]:8000": 200}


def test_who_asks_too_often_waits(toy: Toy, serve: Serve) -> None:
    client, _ = serve(requests_per_second=1)
    path = f"/v1/jobs/{toy.job.name}/predictions"
    answers = [client.post(path, json={"rows": [GOOD]}) for _ in range(4)]
    assert [answer.status_code for answer in answers] == [200, 200, 429, 429]
    assert int(answers[-1].headers["retry-after"]) >= 1
