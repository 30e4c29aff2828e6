"""Every command that is in no group, run in this process as the shell would: arguments in, text and exit code out."""

from __future__ import annotations

import csv
import io
import re
import sqlite3
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from typer.core import TyperGroup
from typer.main import get_command

from cli.main import app
from scoring.job import find_job
from scoring.settings import HOME, Settings, child_environment, load_settings
from scoring.stores.warehouse import ledger
from scoring.stores.warehouse.schema import ensure_job
from tests.conftest import Toy, new_database
from tests.support.shell import SECRET, Shell, cells, done, nightshift, refused
from tests.support.tables import fill
from tests.support.toy import FIRST, NIGHT, ROWS, UNTIL, execute, write_job

COMMANDS = (
    "migrate",
    "check",
    "new-job",
    "train",
    "models",
    "promote",
    "rollback",
    "run",
    "release",
    "discard",
    "verify",
    "status",
    "sql",
    "explain",
    "diff",
    "rescore",
    "retention",
    "quarantine",
    "backtest",
    "forget",
    "accept",
    "register",
    "export-model",
    "environment",
    "reasons",
    "serve",
    "requests",
    "api-key",
    "audit",
    "retire",
    "unpublish",
    "nightly",
    "export",
)


def run_ids(toy: Toy, night: date = NIGHT) -> list[str]:
    return [run.run_id for run in ledger.runs_of(toy.stores.warehouse, toy.job.name, night)]


def shown(toy: Toy) -> list[tuple]:
    return toy.stores.warehouse.query(f"select run_id, count(*) from {toy.job.name}_predictions group by 1")[1]


# ---------------------------------------------------------------- help


def commands(group: TyperGroup, *words: str) -> Iterator[tuple[str, ...]]:
    """Yield every command below a group as the words that call it."""
    for name, command in group.commands.items():
        if isinstance(command, TyperGroup):
            yield from commands(command, *words, name)
        else:
            yield (*words, name)


GROUP = get_command(app)
assert isinstance(GROUP, TyperGroup)
EVERY = sorted(commands(GROUP))


def test_commands_are_those_of_the_reference() -> None:
    assert {words[0] for words in EVERY} == {*COMMANDS, "drift", "retrain", "demo"}


@pytest.mark.parametrize("words", EVERY, ids=" ".join)
def test_command_says_what_it_does(shell: Shell, words: tuple[str, ...]) -> None:
    if words == ("demo", "airflow"):
        return  # its --help is Airflow's
    assert f"nightshift {' '.join(words)}" in " ".join(done(shell(*words, "--help")).split())


@pytest.mark.parametrize("words", [["nonsense"], ["run"], ["drift", "nonsense"], ["status", "--yaml"]], ids=" ".join)
def test_wrong_usage_ends_with_exit_code_2(shell: Shell, words: list[str]) -> None:
    assert shell(*words).code == 2


def test_version_is_that_of_the_project(shell: Shell) -> None:
    declared = tomllib.loads((HOME / "pyproject.toml").read_text())["project"]["version"]
    assert done(shell("--version")) == f"nightshift {declared}, code test\n"


def test_completion_of_a_shell_can_be_had(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION", "1")
    assert "_NIGHTSHIFT_COMPLETE=complete_bash" in done(shell("--show-completion", "bash"))


def test_module_runs_as_a_process_of_its_own(toy: Toy) -> None:
    child = subprocess.run(
        nightshift("sql", "--csv", "select count(*) as jobs from jobs"),
        env=child_environment(toy.stores.settings.environment()),
        cwd=HOME,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (child.returncode, child.stdout, child.stderr) == (0, "jobs\n1\n", "")


# ---------------------------------------------------------------- migrate and check


def test_migrate_makes_the_schema_and_every_job(untrained: Toy, shell: Shell, data_dir: Path, monkeypatch) -> None:
    monkeypatch.setenv("NIGHTSHIFT_WAREHOUSE_URL", new_database(data_dir))
    name = untrained.job.name
    asked = [("status",), ("models", name), ("drift", "verdict", name, NIGHT)]
    for words in [*asked, ("sql", "select * from scoring_status")]:
        said = shell(*words)
        assert (said.code, said.out) == (1, ""), words
        assert said.err == "Permanent: warehouse: found no schema. Next: run `nightshift migrate`.\n", words
    for _ in range(2):
        assert done(shell("migrate")) == f"warehouse is up to date, jobs ['{untrained.job.name}']\n"
    assert f"no champion yet: `nightshift train {name} --until YYYY-MM-DD`" in done(shell("status"))
    assert done(shell("sql", "--csv", f"select * from {untrained.job.name}_predictions")).startswith("at,id,night,")


def test_migrate_does_the_good_jobs_and_names_the_broken_one(untrained: Toy, shell: Shell) -> None:
    (untrained.folder / "jobs" / "broken.yaml").write_text("name: broken\n")
    said = shell("migrate")
    assert f"jobs ['{untrained.job.name}']" in said.out
    assert said.code == 1
    assert said.err.startswith("JobFileError: broken.yaml: found")


@pytest.mark.slow
def test_check_says_what_is_valid(untrained: Toy, shell: Shell) -> None:
    expected = (
        f"{untrained.job.name}: job file, pipeline, features.sql and labels.sql are valid\n"
        "  night 2024-01-01 in UTC: 200 rows, at from 2024-01-01 00:26:26 to 2024-01-01 23:58:21, 0.0% outside the night\n"
        "  outcome of night 2024-01-01: 2 values, 'false' 104, 'true' 96; 'true' counts as positive\n"
    )
    assert done(shell("check")) == expected
    assert done(shell("check", untrained.job.name)) == expected
    assert (untrained.stores.settings.data_dir / "models").exists() is False


def test_check_names_a_broken_file_after_the_good_ones(untrained: Toy, shell: Shell) -> None:
    (untrained.folder / "jobs" / "broken.yaml").write_text("name: [1\n")
    (untrained.folder / "jobs" / "half.yaml").write_text("name: half\ntask: guess\n")
    said = shell("check")
    assert said.code == 1
    assert f"{untrained.job.name}: job file" in said.out
    assert "broken.yaml" in said.err
    assert "half.yaml: found" in said.err
    assert "task: found 'guess', expected 'binary', 'multiclass', 'regression' or 'score'" in said.err


@pytest.mark.slow
@pytest.mark.parametrize("command", ["migrate", "check"])
def test_a_bad_job_is_named_and_does_not_stop_the_next(untrained: Toy, shell: Shell, command: str) -> None:
    """A job whose table is there with another key, and whose SQL is not; its name comes first."""
    ensure_job(untrained.stores.warehouse, write_job(untrained.folder, "first"))
    write_job(untrained.folder, "first", key={"id": "string"}, time_column=None)
    (untrained.folder / "sql" / "first" / "features.sql").unlink()
    said = shell(command)
    assert said.code == 1
    assert untrained.job.name in said.out
    assert "first" in said.err
    assert "first" not in said.out


def test_check_refuses_a_job_that_is_not_there(untrained: Toy, shell: Shell) -> None:
    message = refused(shell("check", "nothing"), "JobFileError")
    assert f"found 'nothing'; expected one of ['{untrained.job.name}']" in message
    assert "new-job nothing" in message


@pytest.mark.parametrize(
    ("pipeline", "said"),
    [
        ("tests.support.pipelines:nothing", "'tests.support.pipelines:nothing'"),
        ("tests.nowhere:build", "No module named 'tests.nowhere'"),
        ("tests.support.pipelines:build_constant", "returns a int; expected an unfitted scikit-learn Pipeline"),
    ],
)
def test_check_names_a_pipeline_that_is_none(untrained: Toy, shell: Shell, pipeline: str, said: str) -> None:
    untrained.change(pipeline=pipeline)
    assert said in refused(shell("check", untrained.job.name), "JobFileError")


@pytest.mark.parametrize(
    ("statement", "text", "error", "said"),
    [
        ("features", "select at {from}", "ContractError", "['id', 'kind', 'x']"),
        ("labels", "select at, id {from}", "ContractError", "['y']"),
        ("labels", "select 1", "SourceQueryError", ":interval_start and :interval_end"),
    ],
)
def test_check_names_sql_that_lacks_something(
    untrained: Toy, shell: Shell, statement: str, text: str, error: str, said: str
) -> None:
    text = text.replace("{from}", "from events where at between :interval_start and :interval_end")
    untrained.stores.settings.sql_path(untrained.job.name, statement).write_text(text)
    message = refused(shell("check"), error)
    assert f"sql/{untrained.job.name}/{statement}.sql" in message
    assert said in message


def test_check_names_sql_that_does_not_run(untrained: Toy, shell: Shell) -> None:
    untrained.stores.settings.sql_path(untrained.job.name, "features").write_text(
        "selekt 1 where :interval_start < :interval_end"
    )
    said = shell("check")
    assert said.code == 1
    assert said.err.startswith("SourceQueryError: ")
    assert "syntax error" in said.err


def test_check_names_the_variable_of_a_source_that_is_not_set(untrained: Toy, shell: Shell) -> None:
    untrained.change(source="crm")
    assert "set NIGHTSHIFT_SOURCES__CRM" in refused(shell("check"), "SettingsError")


# ---------------------------------------------------------------- train, models, promote, rollback


@pytest.mark.slow
def test_train_makes_the_first_version_champion_and_the_next_challenger(untrained: Toy, shell: Shell) -> None:
    name = untrained.job.name
    known = UNTIL + timedelta(days=1)  # when the labels of all nights before UNTIL were known
    first = done(shell("train", name, "--since", FIRST, "--until", known)).splitlines()
    assert re.fullmatch(
        rf"{name} version 1: 1,200 rows, {FIRST} to {UNTIL} \(not included\); "
        r"holdout_log_loss 0\.\d{4}, holdout_auc 0\.\d{4}",
        first[0],
    )
    late = f"left out: night {UNTIL}, whose labels were not known when {known} began (label.delay_days is 1)"
    scored = r"its rows are scored by encoder, \d+\.\d times as fast as scikit-learn"
    assert [first[1], first[3]] == [late, f"{name} version 1 is champion from night {known} on"]
    assert re.fullmatch(scored, first[2])
    assert len(first) == 4
    second = done(shell("train", name, "--until", known)).splitlines()
    assert [second[1], second[3]] == [late, f"it is the challenger; nightshift promote {name} 2 makes it champion"]
    assert re.fullmatch(scored, second[2])
    assert len(second) == 4
    assert second[0].startswith(f"{name} version 2: 1,200 rows, {UNTIL - timedelta(days=90)} to {UNTIL}")
    assert untrained.stores.registry.aliases(name) == {"champion": 1, "challenger": 2}
    third = done(shell("train", name, "--until", known, "--promote"))
    assert third.endswith(f"{name} version 3 is champion from night {known} on\n")
    assert untrained.stores.registry.aliases(name)["champion"] == 3


def test_train_need_not_make_the_first_version_champion(untrained: Toy, shell: Shell) -> None:
    assert "it is the challenger" in done(shell("train", untrained.job.name, "--until", UNTIL, "--no-promote"))
    assert "effective from no night" in refused(shell("run", untrained.job.name, "--night", NIGHT), "ChampionMissing")


def test_train_says_why_it_cannot(untrained: Toy, shell: Shell) -> None:
    assert "found 0 labelled rows" in refused(shell("train", untrained.job.name, "--until", FIRST), "TrainingDataError")
    for wrong in ("tomorrow", "2024-02-30", ""):
        assert repr(wrong) in refused(shell("train", untrained.job.name, "--until", wrong), "NightError")
    assert "first night" in refused(
        shell("train", untrained.job.name, "--since", UNTIL, "--until", FIRST), "NightError"
    )


def test_models_shows_versions_and_promotions(toy: Toy, shell: Shell) -> None:
    name = toy.job.name
    done(shell("train", name, "--since", FIRST, "--until", UNTIL))
    done(shell("promote", name, 2, "--reason", "[red] lower [/x] loss :bug:"))
    output = done(shell("models", name))
    rows = cells(output)
    assert f"model versions of {name}" in output
    assert f"promotions of {name}" in output
    sha = toy.stores.registry.resolve(name, 1).sha256[:12]
    windows = [f"{FIRST} to {until} (not included)" for until in (UNTIL, UNTIL - timedelta(days=1))]
    other = toy.stores.registry.resolve(name, 2).sha256[:12]
    assert [row[:4] + row[5:] for row in rows[1:3]] == [
        ["1", "", windows[0], "1200", sha],
        ["2", rows[2][1], windows[1], "1000", other],
    ]
    assert rows[2][1] == "champion"
    assert all("prediction: true from probability 0.5 on (LogisticRegression)" in row[4] for row in rows[1:3])
    assert [row[:4] for row in rows[4:]] == [
        ["1", str(UNTIL), "promotion", "test"],
        ["2", str(UNTIL), "promotion", "[red] lower [/x] loss :bug:"],
    ]


def test_promote_and_rollback_say_from_which_night(toy: Toy, shell: Shell) -> None:
    name = toy.job.name
    done(shell("train", name, "--until", UNTIL))
    done(shell("run", name, "--night", NIGHT))
    later = NIGHT + timedelta(days=1)
    assert done(shell("promote", name, 2)) == f"{name} version 2 is champion from night {later} on\n"
    assert done(shell("rollback", name, "--reason", "worse")) == f"{name} version 1 is champion from night {later} on\n"
    assert (
        done(shell("rollback", name, "--reason", "no", "--to", 2))
        == f"{name} version 2 is champion from night {later} on\n"
    )
    named = done(shell("promote", name, 1, "--effective-from", "2024-03-01", "--reason", "spring"))
    assert named == f"{name} version 1 is champion from night 2024-03-01 on\n"
    assert shell("rollback", name).code == 2  # a reason is needed
    assert "found versions [1, 2]" in refused(shell("promote", name, 9), "VersionMissing")
    assert "'soon'" in refused(shell("promote", name, 1, "--effective-from", "soon"), "NightError")


def test_rollback_without_an_earlier_champion_is_refused(toy: Toy, shell: Shell) -> None:
    assert "name a version with --to" in refused(shell("rollback", toy.job.name, "--reason", "x"), "ChampionMissing")


# ---------------------------------------------------------------- run, release, discard


def test_run_publishes_and_says_where(toy: Toy, shell: Shell) -> None:
    output = done(shell("run", toy.job.name, "--night", NIGHT))
    (run_id,) = run_ids(toy)
    path = toy.stores.lake.current(toy.job.name, NIGHT)
    said = f"{toy.job.name} {NIGHT}: published, {ROWS} rows, run {run_id}\nlake object {path}\n"
    blind = "this night could only have shown shifts above: prediction 0.50 standard deviations"
    assert output == f"{said}verdict ok: {blind}\n"
    assert done(shell("run", toy.job.name, "--night", NIGHT, "--no-monitor")).count("\n") == 2
    toy.stores.warehouse.query("select 1")
    (_, run_id) = run_ids(toy)
    assert shown(toy) == [(run_id, ROWS)]
    found = ledger.get(toy.stores.warehouse, run_id)
    assert (found.origin, found.code_version) == ("cli", "test")


def test_run_of_an_empty_night_fails_or_is_skipped_as_the_job_says(toy: Toy, shell: Shell) -> None:
    command = ("run", toy.job.name, "--night", "2024-12-31")
    assert "found 0 rows" in refused(shell(*command), "EmptyNight")
    toy.change(on_empty="skip")
    assert done(shell(*command)).startswith(f"skipped: night 2024-12-31 of {toy.job.name}: found 0 rows")


def test_run_says_why_it_cannot(toy: Toy, shell: Shell) -> None:
    name = toy.job.name
    assert f"effective from ['{UNTIL}']" in refused(shell("run", name, "--night", FIRST), "ChampionMissing")
    assert "version 9" in refused(shell("run", name, "--night", NIGHT, "--model-version", 9), "VersionMissing")
    assert "'2024-13-01'" in refused(shell("run", name, "--night", "2024-13-01"), "NightError")
    assert "'nothing'" in refused(shell("run", "nothing", "--night", NIGHT), "JobFileError")
    assert done(shell("run", name, "--night", FIRST, "--model-version", 1)).startswith(f"{name} {FIRST}: published")


def test_release_publishes_a_held_night(toy: Toy, shell: Shell) -> None:
    toy.change(gate={"min_rows": 1000})
    message = refused(shell("run", toy.job.name, "--night", NIGHT), "NightHeld")
    (run_id,) = run_ids(toy)
    assert "gate.min_rows is 1000" in message
    assert f"nightshift release {toy.job.name} {run_id}" in message
    assert shown(toy) == []
    for _ in range(2):
        assert done(shell("release", toy.job.name, run_id)) == f"run {run_id}: published, {ROWS} rows\n"
    assert shown(toy) == [(run_id, ROWS)]


def test_discard_drops_a_held_night(toy: Toy, shell: Shell) -> None:
    toy.change(gate={"min_rows": 1000})
    refused(shell("run", toy.job.name, "--night", NIGHT), "NightHeld")
    (run_id,) = run_ids(toy)
    assert done(shell("discard", toy.job.name, run_id)) == f"run {run_id}: discarded, {ROWS} rows dropped\n"
    assert "found status discarded; expected held" in refused(shell("discard", toy.job.name, run_id), "RunMissing")
    assert "found status discarded" in refused(shell("release", toy.job.name, run_id), "RunMissing")
    assert "no run 'nothing'" in refused(shell("release", toy.job.name, "nothing"), "RunMissing")


# ---------------------------------------------------------------- rescore, retention


def test_rescore_publishes_anew_and_prints_what_changed(toy: Toy, shell: Shell) -> None:
    name, later = toy.job.name, NIGHT + timedelta(days=1)
    done(shell("train", name, "--since", FIRST, "--until", FIRST + timedelta(days=3)))
    done(shell("run", name, "--night", NIGHT))
    command = (
        "rescore",
        name,
        "--from",
        NIGHT,
        "--to",
        later,
        "--model-version",
        2,
        "--reason",
        "[red] calibrated :bug:",
    )
    output = done(shell(*command))
    head, first, second, together = cells(output)
    assert output.splitlines()[0].strip() == f"{name} rescored with version 2"
    assert head[-3:] == ["mean difference (probability)", "largest difference (probability)", "verdict"]
    assert first[:5] == [str(NIGHT), "published", "1", "True", str(ROWS)]
    assert 0 < int(first[6]) < int(first[5]) <= ROWS
    assert 0 < float(first[7]) < float(first[8]) < 1
    assert second == [str(later), "not published", *["–"] * 8]
    assert together == ["all", "1 nights", "–", *first[3:-1], "–"]
    _, new = ledger.runs_of(toy.stores.warehouse, name, NIGHT)
    assert shown(toy) == [(new.run_id, ROWS)]
    assert new.reason == "rescored with version 2: [red] calibrated :bug:"


def test_rescore_ends_with_1_when_a_night_fails_and_does_the_others(toy: Toy, shell: Shell) -> None:
    name, later = toy.job.name, NIGHT + timedelta(days=1)
    for night in (NIGHT, later):
        done(shell("run", name, "--night", night))
    execute(toy.source, f"delete from events where at >= '{NIGHT}' and at < '{later}'")
    said = shell("rescore", name, "--from", NIGHT, "--to", later, "--model-version", 1)
    assert said.code == 1
    assert said.err.startswith(f"{NIGHT}: failed: EmptyNight: night {NIGHT} of {name}: found 0 rows")
    assert [row[:2] for row in cells(said.out)[1:]] == [
        [str(NIGHT), "failed"],
        [str(later), "published"],
        ["all", "1 nights"],
    ]


@pytest.mark.parametrize("command", ["run", "rescore"])
def test_nights_that_a_version_was_trained_on_are_no_evidence(toy: Toy, shell: Shell, command: str) -> None:
    name, day = toy.job.name, timedelta(days=1)
    days = ("--from", UNTIL - day, "--to", UNTIL, "--model-version", 1, "--no-monitor")
    toy.change(label={"column": "outcome", "delay_days": 2})
    trained = f"night {UNTIL - day} was trained on by version 1: its performance is no evidence\n"
    said = shell(command, name, *days)
    assert said.err.startswith(
        f"{trained}outcomes of {UNTIL} overlap those that version 1 was trained on: its performance is no evidence\n"
    )
    toy.change()
    assert trained not in shell(command, name, "--from", UNTIL, *days[2:]).err


def test_rescore_says_why_it_cannot(toy: Toy, shell: Shell) -> None:
    days = ("--from", NIGHT, "--to", NIGHT)
    message = refused(shell("rescore", toy.job.name, *days, "--model-version", 9), "VersionMissing")
    assert "model version 9" in message
    assert "found versions [1]" in message
    backwards = ("--from", NIGHT, "--to", NIGHT - timedelta(days=1))
    message = refused(shell("rescore", toy.job.name, *backwards, "--model-version", 1), "NightError")
    assert f"found from {NIGHT} to {NIGHT - timedelta(days=1)}" in message
    assert shell("rescore", toy.job.name, *days).code == 2  # a version is needed


def test_retention_shows_and_then_removes(toy: Toy, shell: Shell) -> None:
    name = toy.job.name
    for _ in range(2):
        done(shell("run", name, "--night", NIGHT))
    assert done(shell("retention")) == f"{name}: would be removed: 0 of 0.00 MiB and 0 rows\n"
    old, new = run_ids(toy)
    long_ago = datetime.now(UTC) - timedelta(days=31)
    ledger.record(toy.stores.warehouse, old, finished_at=long_ago, started_at=long_ago)
    with toy.stores.warehouse.transaction() as connection:
        connection.exec_driver_sql(
            "update publications set visible_until = now() - interval '31 days' where run_id = %s", (old,)
        )
    output = done(shell("retention", name))
    assert cells(output)[0] == ["kind", "what", "night", "size (MiB)", "rows", "reason"]
    (row,) = cells(output)[1:]
    reason = f"superseded since {long_ago:%Y-%m-%d}, kept for 30 days"
    assert row[:3] == ["run", old, str(NIGHT)]
    assert float(row[3]) > 0
    assert row[4:] == [str(ROWS), reason]
    assert output.splitlines()[-1] == f"{name}: would be removed: 1 of {row[3]} MiB and {ROWS} rows"
    assert pruned(done(shell("explain", name, NIGHT)))[0] == "–"
    assert f"{name}: removed: 1 of {row[3]} MiB and {ROWS} rows" in done(shell("retention", name, "--apply"))
    assert done(shell("retention", "--apply")) == f"{name}: removed: 0 of 0.00 MiB and 0 rows\n"
    assert shown(toy) == [(new, ROWS)]
    assert pruned(done(shell("explain", name, NIGHT)))[0].startswith("20")
    for command in (("release", name, old), ("diff", name, NIGHT, old, new)):
        assert f"run {old}: found its files were removed by retention" in refused(shell(*command), "RunMissing")
    assert done(shell("verify", name)) == f"{name}: 0 problems\n"


def pruned(output: str) -> list[str]:
    """Return what `explain` says of when retention removed each attempt."""
    (row,) = (row for row in cells(output) if row[0] == "pruned_at")
    return row[1:]


def test_retention_of_a_broken_job_file_does_not_stop_the_others(toy: Toy, shell: Shell) -> None:
    (toy.folder / "jobs" / "broken.yaml").write_text("name: broken\n")
    said = shell("retention")
    assert said.code == 1
    assert f"{toy.job.name}: would be removed" in said.out
    assert "broken.yaml" in said.err
    assert "'nothing'" in refused(shell("retention", "nothing"), "JobFileError")


# ---------------------------------------------------------------- what is asked of finished nights


def test_explain_night_shows_every_attempt(toy: Toy, shell: Shell) -> None:
    name = toy.job.name
    assert f"nightshift run {name} --night {NIGHT}" in refused(shell("explain", name, NIGHT), "RunMissing")
    done(shell("run", name, "--night", NIGHT))
    toy.change(gate={"min_rows": 1000})
    shell("run", name, "--night", NIGHT)
    output = done(shell("explain", name, NIGHT))
    first, second = run_ids(toy)
    lines = output.splitlines()
    assert lines[0] == f"{name} {NIGHT}: {NIGHT} 00:00:00+00:00 to {NIGHT + timedelta(days=1)} 00:00:00+00:00, 24 hours"
    assert lines[1] == f"published: run {first}"
    rows = {row[0]: row[1:] for row in cells(output)}
    assert rows["fact"] == ["attempt 1", "attempt 2"]
    assert rows["run_id"] == [first, second]
    assert rows["status"] == ["published", "held"]
    assert rows["rows_loaded"] == [str(ROWS), str(ROWS)]
    assert rows["reason"] == ["–", f"{ROWS} rows scored, gate.min_rows is 1000"]
    assert rows["code_version"] == ["test", "test"]


def test_diff_nights_compares_the_last_two_or_the_two_named(toy: Toy, shell: Shell) -> None:
    name = toy.job.name
    for _ in range(2):
        done(shell("run", name, "--night", NIGHT))
    done(shell("train", name, "--since", FIRST, "--until", FIRST + timedelta(days=3)))
    done(shell("run", name, "--night", NIGHT, "--model-version", 2))
    one, two, three = run_ids(toy)
    last = {row[0]: row[1:] for row in cells(done(shell("diff", name, NIGHT)))}
    assert last["run_id"] == [two, three]
    assert last["model_version"] == ["1", "2"]
    assert last["rows compared"] == [str(ROWS)]
    assert int(last["rows changed"][0]) > 100
    assert 0 < float(last["mean difference"][0]) < float(last["largest difference"][0]) < 1
    named = {row[0]: row[1:] for row in cells(done(shell("diff", name, NIGHT, one, two)))}
    assert named["run_id"] == [one, two]
    assert [named[fact] for fact in ("rows changed", "rows only in first", "largest difference")] == [
        ["0"],
        ["0"],
        ["0"],
    ]
    assert one in refused(shell("diff", name, NIGHT, one), "RunMissing")  # one run alone is not ignored
    refused(shell("diff", name, "2025-01-01"), "RunMissing")


def test_verify_counts_problems_and_repairs(toy: Toy, shell: Shell) -> None:
    name = toy.job.name
    done(shell("run", name, "--night", NIGHT))
    assert done(shell("verify", name)) == f"{name}: 0 problems\n"
    Path(toy.stores.lake.current(name, NIGHT)).unlink()
    found = shell("verify", name)
    assert (found.code, found.out) == (1, f"{NIGHT}: no lake object\n{name}: 1 problems\n")
    assert done(shell("verify", name, "--repair")) == f"{NIGHT}: no lake object (repaired)\n{name}: 1 problems\n"
    assert done(shell("verify", name)) == f"{name}: 0 problems\n"
    path = toy.stores.lake.current(name, NIGHT)
    pq.write_table(pq.read_table(path).replace_schema_metadata({"run_id": "[/x] :bug:"}), path)
    assert f"the lake object is of run [/x] :bug:, published is {run_ids(toy)[0]}\n" in shell("verify", name).out
    done(shell("verify", name, "--repair"))
    with toy.stores.warehouse.transaction() as connection:
        connection.exec_driver_sql(f"delete from {name}_predictions_history")
    left = shell("verify", name, "--repair")
    assert left.code == 1
    assert "the table has 0 rows" in left.out
    assert "(repaired)" not in left.out


def test_status_shows_each_job(toy: Toy, shell: Shell) -> None:
    done(shell("run", toy.job.name, "--night", NIGHT))
    rows = {row[0]: row[1] for row in cells(done(shell("status")))}
    assert rows["owner"] == "tests"
    assert rows["latest_night"] == str(NIGHT)
    assert rows["latest_rows"] == str(ROWS)
    assert (rows["expected_night_published"], rows["nights_published"], rows["nights_held"]) == ("False", "1", "0")
    assert "no champion" not in rows["missing"]


# ---------------------------------------------------------------- sql


def test_sql_prints_a_table(shell: Shell) -> None:
    output = done(shell("sql", "select 1 as a, null as b, 0.123456789::float8 as c, '[/x] :bug: [red]' as d"))
    assert output.splitlines()[0].strip() == "1 rows"
    assert cells(output) == [["a", "b", "c", "d"], ["1", "–", "0.123457", "[/x] :bug: [red]"]]


def test_sql_prints_csv_in_full(shell: Shell) -> None:
    values = """
        1 as n, null as nothing, 0.1234567890123456::float8 as p, 'say "hi", you' as text, E'two\nlines' as lines,
        timestamptz '2024-01-07 01:02:03.456789+01' as moment, date '2024-01-07' as day, true as flag,
        1234567.5::numeric as money, '{"a": [1]}'::jsonb as doc, array[1, 2] as list, '' as empty
    """
    assert done(
        shell("sql", "--csv", f"select {values} union all select {values.replace('1 as n', '2 as n')} order by n")
    ) == (
        "n,nothing,p,text,lines,moment,day,flag,money,doc,list,empty\n"
        '1,,0.1234567890123456,"say ""hi"", you","two\nlines",2024-01-07T00:02:03.456789+00:00,2024-01-07,True,1234567.5,'
        '"{""a"": [1]}","[1, 2]",\n'
        '2,,0.1234567890123456,"say ""hi"", you","two\nlines",2024-01-07T00:02:03.456789+00:00,2024-01-07,True,1234567.5,'
        '"{""a"": [1]}","[1, 2]",\n'
    )


def test_sql_csv_gives_the_predictions_back_exactly(toy: Toy, shell: Shell) -> None:
    done(shell("run", toy.job.name, "--night", NIGHT))
    output = done(shell("sql", "--csv", f"select id, probability from {toy.job.name}_predictions order by id"))
    _, *rows = csv.reader(io.StringIO(output))
    _, table = toy.stores.warehouse.query(f"select id, probability from {toy.job.name}_predictions order by id")
    assert [(int(key), float(chance)) for key, chance in rows] == table


def test_sql_of_no_rows_prints_the_columns(shell: Shell) -> None:
    assert done(shell("sql", "--csv", "select run_id, night from scoring_runs")) == "run_id,night\n"
    assert done(shell("sql", "select run_id from scoring_runs")).splitlines()[0].strip() == "0 rows"


def test_sql_refuses_what_an_analyst_may_not(untrained: Toy, shell: Shell) -> None:
    done(shell("migrate"))
    for statement, said in (
        ("delete from published_nights", "a statement without a result"),
        (
            "insert into jobs values ('x', 'x', 'x', 'UTC', '2024-01-01', null) returning job",
            "permission denied|read-only",
        ),
        ("drop table jobs", "a statement without a result"),
        ("select 1; drop table jobs", "cannot insert multiple commands"),
        (f"select * from {untrained.job.name}_predictions_history", "permission denied for table"),
    ):
        assert re.search(said, refused(shell("sql", statement), "Permanent"))
        assert len(untrained.stores.warehouse.query("select * from jobs")[1]) == 1


# ---------------------------------------------------------------- secrets, and a warehouse that is away


def test_commands_say_in_one_line_that_the_warehouse_does_not_answer(toy: Toy, shell: Shell, monkeypatch) -> None:
    monkeypatch.setenv("NIGHTSHIFT_WAREHOUSE_URL", f"postgresql+psycopg://owner:{SECRET}@127.0.0.1:1/warehouse")
    load_settings.cache_clear()
    for command in (("status",), ("migrate",), ("run", toy.job.name, "--night", NIGHT), ("sql", "select 1")):
        said = shell(*command)
        assert said.code == 1, said
        assert said.err.startswith("WarehouseUnavailable: warehouse: found"), said
        assert "Connection refused" in said.err


def test_malformed_setting_is_named_without_its_value(shell: Shell, monkeypatch) -> None:
    monkeypatch.setenv("NIGHTSHIFT_SOURCES", SECRET)
    load_settings.cache_clear()
    assert "NIGHTSHIFT_SOURCES" in refused(shell("status"), "SettingsError")


# ---------------------------------------------------------------- a new job, from nothing to predictions


def your_table(path: Path, nights: int = 32, rows: int = 30) -> None:
    """Make the table that the templates read, in a SQLite file: ``nights`` nights from 2024-01-01 on."""
    random = np.random.default_rng(0)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(
            "create table your_table (event_time text, id integer, amount real, kind text, outcome integer)"
        )
        for night in range(nights):
            for number in range(rows):
                moment = datetime(2024, 1, 1, tzinfo=UTC) + timedelta(days=night, minutes=number)
                amount, kind = random.exponential(10), random.choice(["web", "shop", "", "post"])
                outcome = int(amount + (5 if kind == "web" else 0) + random.normal() > 9)
                values = (f"{moment:%Y-%m-%d %H:%M:%S}", number, amount, kind or None, outcome)
                connection.execute("insert into your_table values (?, ?, ?, ?, ?)", values)
        connection.commit()


@pytest.fixture
def shop(shell: Shell, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The path of the SQLite database that NIGHTSHIFT_SOURCES__SHOP names; it is not there yet."""
    path = settings.data_dir / "shop.db"
    monkeypatch.setenv("NIGHTSHIFT_SOURCES__SHOP", f"sqlite:///{path}")
    return path


def new_job_files(settings: Settings, name: str) -> list[Path]:
    return [
        settings.jobs_dir / f"{name}.yaml",
        settings.jobs_dir / f"{name}.py",
        settings.sql_dir / name / "features.sql",
        settings.sql_dir / name / "labels.sql",
        settings.jobs_dir.parent / "tests" / "jobs" / f"test_{name}.py",
    ]


def test_new_job_writes_five_files_and_says_which(shell: Shell, settings: Settings, shop: Path) -> None:
    files = new_job_files(settings, "late_orders")
    output = done(shell("new-job", "late_orders", "--source", "shop"))
    assert output.splitlines() == [
        *(f"wrote {path}" for path in files),
        "edit them, then: nightshift check late_orders",
    ]
    assert all(path.read_text().strip() for path in files)
    assert "{" not in files[1].read_text()
    assert "source: shop " in files[0].read_text()


def test_new_job_writes_templates_of_a_snapshot(shell: Shell, settings: Settings, shop: Path) -> None:
    done(shell("new-job", "churn", "--source", "shop", "--kind", "snapshot"))
    job = find_job(settings.jobs_dir, "churn")
    assert (job.kind, job.time_column, job.key) == ("snapshot", None, {"customer_id": "int"})
    assert (job.label.delay_days, job.label.horizon_days) == (7, 7)
    rows = "customer_id integer, day text, amount real, kind text, outcome integer"
    fill(shop, "your_table", rows, [(number, "2024-01-05", 1.0, "a", number % 2) for number in range(20)])
    assert "churn: job file, pipeline" in done(shell("check", "churn", "--rows", "20", "--night", "2024-01-05"))


def test_new_job_overwrites_nothing(shell: Shell, settings: Settings) -> None:
    files = new_job_files(settings, "late_orders")
    files[3].parent.mkdir(parents=True)
    files[3].write_text("mine")
    message = refused(shell("new-job", "late_orders"), "JobFileError")
    assert f"found files that exist: ['{files[3]}']" in message
    assert files[3].read_text() == "mine"
    assert not any(path.exists() for path in files[:3])
    done(shell("new-job", "other_orders"))
    before = [path.read_text() for path in new_job_files(settings, "other_orders")]
    refused(shell("new-job", "other_orders", "--source", "shop"), "JobFileError")
    assert [path.read_text() for path in new_job_files(settings, "other_orders")] == before


@pytest.mark.parametrize("name", ["Late", "late-orders", "1late", "../late", "", "x" * 41])
def test_new_job_refuses_a_name_that_cannot_be_a_table(shell: Shell, settings: Settings, name: str) -> None:
    assert repr(name) in refused(shell("new-job", "--", name), "JobFileError")
    assert "source name" in refused(shell("new-job", "late", "--source", "My Shop"), "JobFileError")
    assert list(settings.jobs_dir.iterdir()) == []


@pytest.mark.slow
def test_newcomer_gets_from_a_table_to_predictions(shell: Shell, settings: Settings, shop: Path) -> None:
    """The README's steps: new-job, check, migrate, train, run, sql, and the test that was written."""
    done(shell("new-job", "late_orders", "--source", "shop"))
    assert "found no f" in refused(shell("check", "late_orders"), "SettingsError")
    shop.touch()  # a database without tables
    message = refused(shell("check", "late_orders"), "SourceQueryError")
    assert "sql/late_orders/features.sql" in message
    assert "no such table: your_table" in message
    your_table(shop)
    assert "late_orders: job file, pipeline" in done(shell("check", "late_orders"))
    assert "'late_orders'" in done(shell("migrate"))
    trained = done(shell("train", "late_orders", "--until", "2024-02-01"))
    (version,) = re.findall(r"late_orders version (\d+): 900 rows", trained)
    assert f"version {version} is champion from night 2024-02-01 on" in trained
    assert "late_orders 2024-02-01: published, 30 rows" in done(shell("run", "late_orders", "--night", "2024-02-01"))
    asked = "select event_time, id, night, prediction, probability from late_orders_predictions order by id limit 1"
    header, first, *_ = done(shell("sql", "--csv", asked)).splitlines()
    assert header == "event_time,id,night,prediction,probability"
    assert first.startswith("2024-02-01T00:00:00+00:00,0,2024-02-01,")
    assert done(shell("verify", "late_orders")) == "late_orders: 0 problems\n"
    assert "1 passed" in run_pytest(settings, new_job_files(settings, "late_orders")[4])


def run_pytest(settings: Settings, *paths: Path) -> str:
    """Run test files in a process of their own, in the folder that holds jobs/, sql/ and tests/; return what it printed."""
    home = settings.jobs_dir.parent
    child = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider", *paths],
        env=child_environment({**settings.environment(), "PYTHONPATH": f"{HOME}:{home}"}),
        cwd=home,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert child.returncode == 0, child.stdout + child.stderr
    return child.stdout


def test_scaffolded_tests_take_every_type_and_task(shell: Shell, settings: Settings, shop: Path) -> None:
    tests = []
    for task in ("multiclass", "regression"):
        done(shell("new-job", f"of_{task}", "--source", "shop"))
        yaml, pipeline, *_, test = new_job_files(settings, f"of_{task}")
        text = yaml.read_text().replace("task: binary", f"task: {task}")
        text = text.replace("  id: int", "  id: int\n  day: date\n  name: string")
        text = text.replace("  amount:", "  count: {type: int}\n  flag: {type: bool}\n  amount:")
        if task == "multiclass":
            text = text.replace("column: outcome", "column: outcome\n  classes: [c, a, b]")
        else:
            pipeline.write_text(pipeline.read_text().replace("Classifier", "Regressor"))
        yaml.write_text(text)
        tests.append(test)
    assert "2 passed" in run_pytest(settings, *tests)
