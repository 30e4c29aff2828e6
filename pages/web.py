"""The pages over HTTP, behind Airflow's login: who may see which job, and what each address answers."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from functools import cache
from typing import Annotated, Any
from urllib.parse import quote

from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.core_api.security import GetUserDep, get_user
from fastapi import Depends, FastAPI, HTTPException, Request
from fastapi.responses import RedirectResponse, Response

from pages import content
from pages.content import Places, View, place_of_run, version_of_run
from pages.rendering import HTML, REPORT_POLICY, page_policy, render, report_file, whole_report
from pages.scraping import add_metrics
from scoring.errors import LakeFileMissing, NightError, NightshiftError
from scoring.interval import parse_night
from scoring.job import find_job
from scoring.settings import load_settings
from scoring.stores import Lake
from scoring.stores.warehouse import open_warehouse

DAG_SUFFIX = "_nightly"
RETRAINING_SUFFIX = "_retraining"
HEADINGS = {
    401: "Log in to Airflow first",
    403: "Not for this user",
    404: "Not found",
    405: "Not this way",
    503: "The warehouse does not answer",
}
app = FastAPI(title="Nightshift", docs_url=None, redoc_url=None, openapi_url=None, dependencies=[Depends(get_user)])


@cache
def places() -> Places:
    """Return warehouse and lake of this process, opened at the first request. The registry stays closed."""
    settings = load_settings()
    return Places(
        open_warehouse(settings),
        Lake(settings.lake_root),
        lambda name: find_job(settings.jobs_dir, name),
        lambda name: (settings.jobs_dir / f"{name}.yaml").exists(),
    )


def readable_jobs(user: GetUserDep) -> frozenset[str]:
    """Return the jobs whose nightly DAG the user may read."""
    dag_ids = get_auth_manager().get_authorized_dag_ids(user=user, method="GET")
    return frozenset(name.removesuffix(DAG_SUFFIX) for name in dag_ids if name.endswith(DAG_SUFFIX))


add_metrics(app, places, readable_jobs)
PlacesDep = Annotated[Places, Depends(places)]
Readable = Annotated[frozenset[str], Depends(readable_jobs)]


@app.get("/")
def overview(request: Request, readable: Readable, read: PlacesDep) -> Response:
    """Return one card per job."""
    return _page(request, "overview", content.overview_page(read, readable))


@app.get("/jobs/{job}")
def job_page(request: Request, job: str, readable: Readable, read: PlacesDep, until: str = "") -> Response:
    """Return the job's nights, performance, drift, decisions and champions."""
    _check(job, readable)
    last = _night(until) if until else None
    return _page(
        request, "job", _require(content.job_page(read, job, last), f"The job {job} was never trained or run.")
    )


@app.get("/jobs/{job}/nights/{night}")
def night_page(request: Request, job: str, night: str, readable: Readable, read: PlacesDep, run: str = "") -> Response:
    """Return everything about a night, of the run it shows or of the one asked for."""
    _check(job, readable)
    view = content.night_page(read, job, _night(night), run or None)
    what = f"run {run} of night {night}" if run else f"run of night {night}"
    return _page(request, "night", _require(view, f"There is no {what} of {job}."))


@app.get("/jobs/{job}/columns/{column:path}")
def column_page(request: Request, job: str, column: str, readable: Readable, read: PlacesDep) -> Response:
    """Return a column's distances over the nights."""
    _check(job, readable)
    view = content.column_page(read, job, column)
    return _page(request, "column", _require(view, f"No night of {job} was judged in a column {column}."))


@app.get("/jobs/{job}/backtest")
def backtest_page(request: Request, job: str, readable: Readable, read: PlacesDep) -> Response:
    """Return what retraining policies would have done on the job's past nights, as the newest backtest found."""
    _check(job, readable)
    view = content.backtest_page(read, job)
    return _page(request, "backtest", _require(view, f"The job {job} was never trained or run."))


@app.get("/jobs/{job}/versions/{version}")
def version_page(request: Request, job: str, version: str, readable: Readable, read: PlacesDep) -> Response:
    """Return the model card of a version, and what became of it since."""
    _check(job, readable)
    number = int(version) if version.isascii() and version.isdigit() and len(version) < 10 else 0
    view = content.version_page(read, job, number)
    return _page(request, "version", _require(view, f"There is no model card of a version {version} of {job}."))


@app.get("/run")
def run_page(request: Request, readable: Readable, read: PlacesDep, dag_id: str = "", run_id: str = "") -> Response:
    """Redirect to the page of what a DAG run made, or say that it made nothing: the tab appears on every DAG's runs."""
    place = _place_of_run(read, readable, dag_id, run_id)
    if place is not None:
        return RedirectResponse(f"{_home(request)}{place}", status_code=303)
    words = (
        f"No report for this run: {dag_id or 'it'} {run_id} scored no night and trained no version that you may see."
    )
    view = {"heading": "No report for this run", "message": words, "link": f"{_home(request)}/"}
    return _page(request, "message", {**view, "link_words": "All jobs"})


def _place_of_run(read: Places, readable: frozenset[str], dag_id: str, run_id: str) -> str | None:
    """Return the page of the night that a run scored, or of the version that it trained, or None for any other run."""
    for suffix in (DAG_SUFFIX, RETRAINING_SUFFIX):
        job = dag_id.removesuffix(suffix)
        if not dag_id.endswith(suffix) or job not in readable:
            continue
        if suffix == DAG_SUFFIX:
            place = place_of_run(read, job, run_id)
            return f"/jobs/{quote(job)}/nights/{place[0]}?run={quote(place[1])}" if place else None
        retrained, version = version_of_run(read.warehouse, job, run_id)
        page = f"/jobs/{quote(job)}"
        return (f"{page}/versions/{version}" if version else f"{page}#retrainings") if retrained else None
    return None


@app.get("/reports/{path:path}")
def report(path: str, readable: Readable, read: PlacesDep) -> Response:
    """Return an Evidently page or a file that such pages share. Nothing else of the lake is served."""
    file = report_file(path)
    if file is None or file[0] not in (None, *readable):
        raise HTTPException(404, "There is no such report.")

    def content(below: str) -> str:
        return read.lake.read_text(read.lake.below(f"reports/{below}"))

    try:
        whole = content(path) if file[0] is None else whole_report(content(path), content)
    except LakeFileMissing:
        raise HTTPException(404, "There is no such report, or it is too old and was removed.") from None
    return Response(whole, headers={**_headers(REPORT_POLICY), "Content-Type": file[1]})


@app.exception_handler(HTTPException)
def refused(request: Request, error: HTTPException) -> Response:
    """Return a page that says what is wrong."""
    home = _home(request)
    link, words = (f"{home}/", "All jobs")
    if error.status_code == 401:
        link, words = f"{home.removesuffix('/nightshift')}/", "To Airflow"
    view = {"heading": HEADINGS.get(error.status_code, "That did not work"), "message": str(error.detail)}
    answer = _page(request, "message", {**view, "link": link, "link_words": words}, error.status_code)
    answer.headers.update(error.headers or {})
    return answer


@app.exception_handler(404)
def unknown(request: Request, error: Exception) -> Response:
    """Return a page for an address that there is not."""
    detail = error.detail if isinstance(error, HTTPException) else "There is no such page."
    return refused(request, HTTPException(404, detail))


@app.exception_handler(NightshiftError)
def unavailable(request: Request, error: NightshiftError) -> Response:
    """Return a page that says what does not answer."""
    return refused(request, HTTPException(503, str(error)))


def _page(request: Request, template: str, view: View, status: int = 200) -> Response:
    framed = request.headers.get("sec-fetch-dest") == "iframe"  # whose sandbox lets no link out of the frame
    content = render(template, _home(request), {**view, "framed": framed})
    return Response(content, status, headers={**_headers(page_policy()), "Content-Type": HTML})


def _headers(policy: str) -> dict[str, str]:
    return {
        "Content-Security-Policy": policy,
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "same-origin",
        "Cache-Control": "private, no-cache",
    }


def _home(request: Request) -> str:
    return str(request.scope.get("root_path", "")).rstrip("/")


def _check(job: str, readable: frozenset[str]) -> None:
    if job not in readable:
        raise HTTPException(404, f"There is no job {job} that you may see.")


def _night(text: str) -> date:
    try:
        return parse_night(text)
    except NightError:
        raise HTTPException(404, f"{text} is no night: expected YYYY-MM-DD.") from None


def _require(view: Mapping[str, Any] | None, otherwise: str) -> View:
    if view is None:
        raise HTTPException(404, otherwise)
    return dict(view)
