"""``quarantine`` and ``check --rows``: what is printed, as a table, JSON and CSV."""

from __future__ import annotations

import csv
import io
import json
from datetime import timedelta

import pandas as pd
import pytest

from scoring.job import HIDDEN_VALUE
from tests.conftest import Toy
from tests.support.shell import Shell, cells, done, refused
from tests.support.toy import NIGHT, add, events, write_job

DIRTY = NIGHT + timedelta(days=30)


@pytest.fixture
def dirty(toy: Toy) -> Toy:
    """The toy with a night of 100 rows, of which 30 have no kind."""
    rows = events(DIRTY, 100)
    rows.loc[:29, "kind"] = None
    add(toy.source, pd.DataFrame(rows))
    return toy


def test_quarantine_shows_reasons_first_and_counts(dirty: Toy, shell: Shell):
    done(shell("check", dirty.job.name, "--rows", 1000, "--night", DIRTY))
    shell("run", dirty.job.name, "--night", DIRTY)  # held: more than the gate allows
    output = done(shell("quarantine", dirty.job.name, DIRTY, "--rows", 3))
    assert f"{dirty.job.name} {DIRTY}: 30 of 100 rows in quarantine" in output
    assert "(held)" in output
    assert ["kind:null", "30", "30.0%"] in cells(output)
    assert "3 of 30 rows" in output


def test_quarantine_as_json_and_csv(dirty: Toy, shell: Shell):
    shell("run", dirty.job.name, "--night", DIRTY)
    document = json.loads(done(shell("quarantine", dirty.job.name, DIRTY, "--json")))
    assert document["reasons"] == [{"reason": "kind:null", "rows": 30, "share": 0.3}]
    assert len(document["rows"]) == 20
    header, *rows = csv.reader(io.StringIO(done(shell("quarantine", dirty.job.name, DIRTY, "--csv", "--rows", 100))))
    assert header == ["reasons", "at", "id", "kind", "x"]
    assert [row[0] for row in rows] == ["kind:null"] * 30


def test_quarantine_hides_sensitive_values(dirty: Toy, shell: Shell):
    features = {"x": {"type": "float", "nullable": True, "sensitive": True}, "kind": {"type": "category"}}
    shell("run", dirty.job.name, "--night", DIRTY)
    write_job(dirty.folder, dirty.job.name, features=features)
    document = json.loads(done(shell("quarantine", dirty.job.name, DIRTY, "--json")))
    assert {row["x"] for row in document["rows"]} <= {HIDDEN_VALUE, None}
    assert HIDDEN_VALUE in {row["x"] for row in document["rows"]}


def test_quarantine_of_a_night_without_a_run_says_what_to_do(dirty: Toy, shell: Shell):
    assert "no run whose rows were read" in refused(shell("quarantine", dirty.job.name, DIRTY), "RunMissing")
    assert "found" in refused(shell("quarantine", dirty.job.name, DIRTY, "--run", "nothing"), "RunMissing")


def test_check_previews_as_one_document(dirty: Toy, shell: Shell):
    document = json.loads(done(shell("check", dirty.job.name, "--rows", 1000, "--night", DIRTY, "--json")))
    assert document["preview"] == [{"job": dirty.job.name, "night": str(DIRTY), "rows": 100, "quarantined": 30}]
    assert document["reasons"] == [{"reason": "kind:null", "rows": 30, "share": 0.3}]
    assert {column["column"] for column in document["columns"]} == {"at", "id", "x", "kind"}
    assert len(document["rows"]) == 10


def test_night_of_a_preview_needs_its_rows(dirty: Toy, shell: Shell):
    said = shell("check", dirty.job.name, "--night", DIRTY)
    assert said.code == 2
    assert "--rows" in said.err
