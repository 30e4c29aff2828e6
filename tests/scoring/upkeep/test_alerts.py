"""Alerts over real HTTP: off by default, one line with a link, each kind once per night."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest
from pydantic import SecretStr

from scoring.errors import AlertNotSent
from scoring.night.request import NightRequest
from scoring.night.run import run_night
from scoring.stores.installation import Stores
from scoring.stores.workspace import Workspace
from scoring.upkeep.alerts import Alert, send
from scoring.upkeep.lateness import late
from tests.conftest import Toy
from tests.support.receivers import Receiver, receiving
from tests.support.toy import NIGHT


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as opened:
        yield opened


def alert(toy: Toy, **changes) -> Alert:
    return replace(Alert(toy.job.name, NIGHT, "drift", "kind: values\nappear", "http://127.0.0.1:8080/x"), **changes)


def telling(stores: Stores, url: str | None) -> Stores:
    return replace(stores, settings=stores.settings.model_copy(update={"alert_urls": url and SecretStr(url)}))


def test_alerts_are_off_by_default(toy: Toy) -> None:
    assert send(toy.stores, alert(toy)) is False
    assert toy.stores.warehouse.query("select count(*) from alerts")[1] == [(0,)]


def test_alert_is_one_line_with_a_link_and_is_sent_once(toy: Toy, receiver: Receiver) -> None:
    stores = telling(toy.stores, receiver.url)
    assert [send(stores, alert(toy)), send(stores, alert(toy))] == [True, False]
    assert [heard["message"] for heard in receiver.heard] == [
        f"{toy.job.name}, night {NIGHT}, drift: kind: values appear http://127.0.0.1:8080/x"
    ]
    assert send(stores, alert(toy, kind="failed"))
    assert send(stores, alert(toy, night=NIGHT + timedelta(days=1)))
    assert len(receiver.heard) == 3


def test_every_approval_of_a_night_is_asked_for_once(toy: Toy, receiver: Receiver) -> None:
    stores = telling(toy.stores, receiver.url)
    asked = [alert(toy, kind="approval", about=number) for number in ("7", "7", "8")]
    assert [send(stores, each) for each in asked] == [True, False, True]
    assert [heard["title"] for heard in receiver.heard] == [f"Nightshift: {toy.job.name} approval"] * 2


def test_alert_that_was_refused_is_tried_again_and_tells_no_secret(toy: Toy, receiver: Receiver) -> None:
    stores = telling(toy.stores, receiver.url)
    receiver.status = 500
    with pytest.raises(AlertNotSent) as caught:
        send(stores, alert(toy))
    assert "s3cr3t" not in str(caught.value) + repr(stores.settings)
    receiver.status = 200
    assert send(stores, alert(toy))


def test_receiver_of_html_gets_what_the_data_said_as_text(toy: Toy) -> None:
    evil = "</script><img src=http://other/?x onerror=alert(1)>"
    with receiving() as receiver:
        message = Alert(toy.job.name, NIGHT, "held", f"unseen value {evil}", "http://127.0.0.1:8080/x")
        assert send(telling(toy.stores, f"{receiver.url}?format=html"), message)
    (heard,) = receiver.heard
    assert "<img" not in heard["message"]
    assert "&lt;img" in heard["message"]


def test_url_that_is_not_understood_is_an_error(toy: Toy) -> None:
    with pytest.raises(AlertNotSent, match="a URL that is not understood"):
        send(telling(toy.stores, "nonsense"), alert(toy))


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        ("2024-01-08T02:59:00Z", date(2024, 1, 6)),  # the night of the 7th has three hours
        ("2024-01-08T03:01:00Z", date(2024, 1, 7)),
        ("2024-06-01T12:00:00Z", date(2024, 1, 8)),
        ("2024-01-01T01:00:00Z", None),  # before the first night
    ],
)
def test_night_is_late_when_it_is_not_published_in_time(toy: Toy, now: str, expected: date | None) -> None:
    last = date(2024, 1, 8) if now > "2024-02" else None
    job = toy.change(schedule={"timezone": "UTC", "first_night": date(2024, 1, 1), "last_night": last})
    moment = datetime.fromisoformat(now)
    if moment.month == 6:
        expected = None  # history: nobody is alarmed months later
    assert late(Workspace(replace(toy.stores, clock=lambda: moment), job)) == expected


def test_published_night_is_not_late(toy: Toy) -> None:
    run_night(toy.work, NightRequest(NIGHT, datetime.now(UTC), "cli"))
    after = datetime(2024, 1, 8, 12, tzinfo=UTC)
    assert late(Workspace(replace(toy.stores, clock=lambda: after), toy.job)) is None
    toy.change(limits={"late_after_minutes": None})
    assert late(Workspace(replace(toy.stores, clock=lambda: after + timedelta(days=1)), toy.job)) is None
