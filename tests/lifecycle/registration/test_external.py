"""A decision asks something else for a version, and `nightshift register` ends what it began."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from lifecycle.registration import judged
from lifecycle.retraining import RetrainingRequest, announce, retrain
from scoring.errors import RetrainingFailed, RetrainingRunning
from scoring.stores.warehouse import retrainings
from tests.conftest import Toy
from tests.support.elsewhere import fitted, registered, saved
from tests.support.toy import NIGHT, UNTIL

asked: list[dict[str, Any]] = []


class _Trainer(BaseHTTPRequestHandler):
    """Something that trains when it is asked to."""

    def do_POST(self) -> None:
        """Take what is asked for, and refuse what is asked of another path."""
        asked.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(202 if self.path == "/train" else 404)
        self.end_headers()

    def log_message(self, *words: Any) -> None:
        """Say nothing."""


@pytest.fixture
def trainer() -> Iterator[str]:
    """The address of something that trains elsewhere."""
    asked.clear()
    with HTTPServer(("127.0.0.1", 0), _Trainer) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def test_a_retraining_asks_elsewhere_waits_and_ends_with_the_registered_version(
    untrained: Toy, trainer: str, tmp_path: Path
) -> None:
    promotion = {"min_nights": 2, "max_latency_ratio": 100, "max_size_ratio": 100}
    external = {"external": {"url": f"{trainer}/train"}}
    untrained.change(pipeline=None, retraining=external, promotion=promotion)
    first = registered(untrained, saved(fitted(), tmp_path / "a.joblib"), until=UNTIL)
    judged(untrained.work, first, "tests")
    row = retrain(untrained.work, RetrainingRequest("drift", night=NIGHT))
    assert (row.state, row.stage) == ("running", "external")
    assert asked[0]["job"] == untrained.job.name and asked[0]["retraining_id"] == row.retraining_id
    assert announce(untrained.stores, row.retraining_id).stage == "external"
    with pytest.raises(RetrainingRunning):
        retrain(untrained.work, RetrainingRequest("again", night=NIGHT))
    second = registered(untrained, saved(fitted(until=UNTIL.replace(day=3)), tmp_path / "b.joblib"))
    ended = judged(untrained.work, second, "tests").retraining
    assert ended is not None and ended.retraining_id == row.retraining_id
    assert (ended.state, ended.model_version, ended.reason) == ("refused", 2, "drift")


def test_a_trainer_that_refuses_fails_the_retraining(untrained: Toy, trainer: str) -> None:
    untrained.change(pipeline=None, retraining={"external": {"url": f"{trainer}/nowhere"}})
    with pytest.raises(RetrainingFailed, match=r"127\.0\.0\.1 answered: .*404"):
        retrain(untrained.work, RetrainingRequest("drift", night=NIGHT))
    (row,) = retrainings.of_job(untrained.stores.warehouse, untrained.job.name)
    assert row.state == "failed"
