"""Alerts: one line with a link, to the URLs that the settings name, each kind once per night."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Literal

from scoring.errors import AlertNotSent
from scoring.stores import Stores
from scoring.stores.warehouse import claim_alert, withdraw_alert

Kind = Literal["approval", "drift", "held", "failed", "late", "performance", "retraining", "rollback"]


@dataclass(frozen=True)
class Alert:
    """Something that somebody should look at."""

    job: str
    night: date
    kind: Kind
    message: str
    link: str
    about: str = ""
    """What tells it from another of its kind about the night, such as the number of a retraining."""

    @property
    def line(self) -> str:
        """Return the alert as it is sent.

        >>> Alert("flights", date(2013, 4, 1), "held", "10 rows scored", "http://127.0.0.1:8080/x").line
        'flights, night 2013-04-01, held: 10 rows scored http://127.0.0.1:8080/x'
        """
        return f"{self.job}, night {self.night}, {self.kind}: {' '.join(self.message.split())} {self.link}"


def send(stores: Stores, alert: Alert) -> bool:
    """Send an alert unless one of its kind was sent about the night, and return whether it was sent now.

    Nothing happens while ``NIGHTSHIFT_ALERT_URLS`` is unset. Raises ``AlertNotSent`` when a receiver refuses it; then
    the next try sends it again.
    """
    urls = stores.settings.alert_urls
    if urls is None:
        return False
    import apprise  # half a second that pages and tasks without an alert do without

    row = {"job": alert.job, "night": alert.night, "kind": f"{alert.kind} {alert.about}".strip()}
    if not claim_alert(stores.warehouse, {**row, "message": alert.line, "sent_at": stores.clock()}):
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
