"""Alerts: one line with a link, to the URLs that the settings name, each kind once per night."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

import apprise

from scoring.errors import AlertNotSent
from scoring.interval import DataInterval
from scoring.stores import Stores, Workspace
from scoring.stores.warehouse import claim_alert, ledger, withdraw_alert

Kind = Literal["drift", "held", "failed", "late", "performance", "retraining", "rollback"]


@dataclass(frozen=True)
class Alert:
    """Something that somebody should look at."""

    job: str
    night: date
    kind: Kind
    message: str
    link: str

    @property
    def line(self) -> str:
        """Return the alert as it is sent.

        >>> Alert("flights", date(2013, 4, 1), "held", "10 rows scored", "http://127.0.0.1:8080/x").line
        'flights, night 2013-04-01, held: 10 rows scored http://127.0.0.1:8080/x'
        """
        return f"{self.job}, night {self.night}, {self.kind}: {' '.join(self.message.split())} {self.link}"


def late(work: Workspace) -> date | None:
    """Return the job's last night if it should be published by now and is not, or None.

    A provisional publication does not count. Of nights that ended more than a week ago there is no alert.
    """
    minutes, zone = work.job.limits.late_after_minutes, ZoneInfo(work.job.schedule.timezone)
    if minutes is None:
        return None
    night = (work.clock() - timedelta(minutes=minutes)).astimezone(zone).date() - timedelta(days=1)
    last = work.job.schedule.last_night
    if night < work.job.schedule.first_night or (last is not None and last < night - timedelta(days=7)):
        return None
    night = min(night, last or night)
    if not DataInterval.of_night(night, work.job.schedule.timezone).exists:
        return None
    return None if night in ledger.settled(work.warehouse, work.job.name, work.clock()) else night


def send(stores: Stores, alert: Alert) -> bool:
    """Send an alert unless one of its kind was sent for the night, and return whether it was sent now.

    Nothing happens while ``NIGHTSHIFT_ALERT_URLS`` is unset. Raises ``AlertNotSent`` when a receiver refuses it; then
    the next try sends it again.
    """
    urls = stores.settings.alert_urls
    if urls is None:
        return False
    row = {"job": alert.job, "night": alert.night, "kind": alert.kind, "message": alert.line}
    if not claim_alert(stores.warehouse, {**row, "sent_at": stores.clock()}):
        return False
    receivers = apprise.Apprise()
    accepted = [receivers.add(url.strip()) for url in urls.get_secret_value().split(",") if url.strip()]
    title, form = f"Nightshift: {alert.job} {alert.kind}", apprise.NotifyFormat.TEXT  # escaped for receivers of HTML
    if not all(accepted) or not receivers.notify(body=alert.line, title=title, body_format=form):
        withdraw_alert(stores.warehouse, row)
        problem = (
            "a URL that is not understood" if not all(accepted) else "a receiver that refused it or does not answer"
        )
        raise AlertNotSent(
            "alert", found=problem, expected="URLs as Apprise takes them", next_step="see NIGHTSHIFT_ALERT_URLS"
        )
    return True
