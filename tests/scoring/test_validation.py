"""One grammar of messages: every field of a job file and of the settings, every kind of mistake, and YAML itself."""

from __future__ import annotations

import copy
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import BaseModel, ValidationError

from scoring.errors import JobFileError
from scoring.job.definition import Job
from scoring.job.files import changed_job, find_job, load_job
from scoring.job.yaml_text import _Loader, read, read_mapping
from scoring.settings import HOME, Settings
from scoring.validation import SCHEDULE_PATTERN, problems, sentences

DEMO: dict[str, Any] = yaml.safe_load((HOME / "jobs" / "flight_delay.yaml").read_text(encoding="utf-8"))
SENTENCE = re.compile(r"found .+, expected .+|found an unknown key; did you mean .+\?", re.DOTALL)
PYDANTIC = re.compile(
    r"Input should|String should|valid |Field required|not permitted|Value error|class '|datetime\.|NoneType"
)
WRONG: list[Any] = [
    "?",
    "",
    -1,
    0,
    10**30,
    1.5,
    True,
    None,
    [],
    [1],
    [1, 2, 3],
    {},
    {"a": 1},
    float("nan"),
    float("inf"),
    b"x",
    DEMO["schedule"],
]


def leaves(model: type[BaseModel], path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """Return the paths of all fields of a job file, with a column in place of any."""
    found = []
    for name, field in model.model_fields.items():
        inner = field.annotation
        found.append((*path, name))
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            found += leaves(inner, (*path, name))
    return found


FIELDS = [
    *leaves(Job),
    ("key", "origin"),
    ("features", "dest"),
    *(("features", "dest", n) for n in DEMO["features"]["dest"]),
]


def with_value(path: tuple[str, ...], value: Any) -> dict[str, Any]:
    content = copy.deepcopy(DEMO)
    inner = content
    for part in path[:-1]:
        inner = inner.setdefault(part, {})
    inner[path[-1]] = value
    return content


@pytest.mark.parametrize("path", FIELDS, ids=".".join)
def test_every_wrong_value_of_every_field_is_one_sentence(path: tuple[str, ...]) -> None:
    for value in WRONG:
        try:
            Job.model_validate(with_value(path, value))
        except ValidationError as error:
            for where, sentence in problems(error, Job):
                whole = sentence if where else sentence.partition(": ")[2]
                assert SENTENCE.fullmatch(whole.partition(": ")[2] if whole.startswith("features.") else whole), (
                    sentence
                )
                assert not PYDANTIC.search(sentence), sentence


@pytest.mark.parametrize("path", [path for path in FIELDS if len(path) == 1], ids=".".join)
def test_what_is_missing_is_one_sentence(path: tuple[str, ...]) -> None:
    content = with_value(path, None)
    del content[path[0]]
    try:
        Job.model_validate(content)
    except ValidationError as error:
        for where, sentence in problems(error, Job):
            assert sentence.startswith("found nothing, expected ") or where == "", sentence
            assert not sentence.endswith("a value")


def sentence_of(path: str, value: Any) -> str:
    with pytest.raises(ValidationError) as caught:
        Job.model_validate(with_value(tuple(path.split(".")), value))
    (sentence,) = sentences(caught.value, Job)
    return sentence


@pytest.mark.parametrize(
    ("path", "value", "expected"),
    [
        (
            "schedule.cron",
            "0 25 * * *",
            "found '0 25 * * *', expected minute and hour once a day, such as '30 2 * * *'",
        ),
        ("training.windw_days", 9, "found an unknown key; did you mean window_days?"),
        ("training.windowDays", 9, "found an unknown key; did you mean window_days?"),
        ("max_loss", 9, "found an unknown key, expected it in retraining"),
        ("window_day", 9, "found an unknown key; did you mean training.window_days?"),
        ("gate.timezone", "UTC", "found an unknown key, expected it in schedule"),
        ("label.task", "binary", "found an unknown key, expected it in the top level"),
        ("features.dest.drfit", "ignored", "found an unknown key; did you mean drift?"),
        ("label.what", 1, "found an unknown key, expected one of column, delay_days, horizon_days, classes"),
        ("owner", 7, "found 7, expected text in quotes, '7'"),
        ("owner", None, "found nothing, expected text"),
        ("owner", "x" * 0, "found '', expected text of at least 1 characters"),
        ("monitor.persistence", [3, 2], "found [3, 2], expected [k, n]: k of the last n nights, 1 <= k <= n <= 30"),
        (
            "retraining.schedule",
            "60 0 * * 1",
            "found '60 0 * * 1', expected minute, hour, day, month and weekday, such as '0 3 * * 1'",
        ),
        (
            "schedule.timezone",
            "Berlin",
            "found 'Berlin', expected a timezone of the IANA database, such as America/New_York",
        ),
        ("time_column", "dest", "found 'dest', expected a key column of type datetime"),
    ],
)
def test_a_mistake_is_said_as_a_colleague_would(path: str, value: Any, expected: str) -> None:
    assert sentence_of(path, value).startswith(f"{path}: {expected}")


@pytest.mark.parametrize(
    "cron", ["0 3 * * 1", "*/15 0-6,22 1,15 jan-mar MON", "0 0 L * *", "0 0 * * 1#2", "59 23 31 12 7"]
)
def test_a_cron_expression_that_airflow_takes_is_taken(cron: str) -> None:
    assert Job.model_validate(with_value(("retraining", "schedule"), cron)).retraining.schedule == cron


@pytest.mark.parametrize(
    "cron", ["a b c d e", "60 0 * * *", "0 24 * * *", "0 0 32 * *", "0 0 * 13 *", "0 0 * * 8", "0 0 * * *x"]
)
def test_a_cron_expression_that_airflow_does_not_take_is_refused(cron: str) -> None:
    assert SCHEDULE_PATTERN not in sentence_of("retraining.schedule", cron)


def test_a_value_of_a_setting_is_never_shown() -> None:
    with pytest.raises(ValidationError) as caught:
        Settings.model_validate({"score_threads": "s3cr3t", "retention": {"s3cr3t": "s3cr3t"}})
    shown = [sentence for _, sentence in problems(caught.value, Settings, with_values=False)]
    assert len(shown) == 2
    assert "s3cr3t" not in " ".join(shown)


# ---------------------------------------------------------------- YAML


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name: a\n\tb: c", "found a tab (line 2, column 1)"),
        ("a:\n  b: c: d", "found a second ': ' in a line (line 2, column 7)"),
        ("a: 1\nb", "found a key without ': ' (line 2, column 2)"),
        ("a:\n  b: 1\n c: 2", "found a line that is indented unlike those above (line 3, column 2)"),
        ("a: 'x", "found a quote that is not closed (line 1, column 4)"),
        ("a: [b,\nc: d", "found a list that is not closed (line 1, column 4)"),
        ("a: {b: 1\n", "found a mapping that is not closed (line 1, column 4)"),
        ("a: !!python/name:os.system x", "found a tag such as !name (line 1, column 4)"),
        ("a: 1\nb:\n  c: 1\n  c: 2\n", "found the key 'c' a second time, after line 3 (line 4, column 3)"),
        ("a: 2013-02-30", "found 2013-02-30, which is no day of the calendar (line 1, column 4)"),
        ("a: b\n---\nc: d\n", "found a second document after --- (line 2, column 1)"),
        ("? [a]\n: 1", "found a list or mapping as a key (line 1, column 3)"),
        ("ok: 1\na: \x07", "found a character that cannot be printed (line 2, column 4)"),
        ("a: *b", "found undefined alias 'b' (line 1, column 4)"),
        ("[" * 5000, "found lists or mappings in one another, more than 20 levels deep (line 1, column 22)"),
        ("[" * 300_000, "found lists or mappings in one another, more than 20 levels deep (line 1, column 22)"),
        ("- " * 300_000, "found lists or mappings in one another, more than 20 levels deep (line 1, column 43)"),
        ("a: &x {b: *x}\n", "found lists or mappings in one another, more than 20 levels deep (line 1, column 8)"),
        ("a: [b?c]", "found a list that is not closed (line 1, column 4)"),
    ],
)
def test_yaml_that_cannot_be_read_is_one_sentence_with_its_place(text: str, said: str) -> None:
    with pytest.raises(JobFileError) as caught:
        read(text, "churn.yaml")
    message = str(caught.value)
    assert message.startswith(f"churn.yaml: {said}; expected a readable YAML file")
    assert "\n" not in message
    assert "<unicode string>" not in message


def test_keys_are_text_and_values_are_what_yaml_says() -> None:
    assert read("no: no\n1: 1\n2024-01-31: 2024-01-31\n", "") == {
        "no": False,
        "1": 1,
        "2024-01-31": yaml.safe_load("2024-01-31"),
    }


@pytest.mark.parametrize(
    "text",
    [
        *[path.read_text("utf-8") for path in sorted((HOME / "jobs").glob("*.yaml"))],
        "a: &x {b: 1}\nc: *x\n",
        "a: |\n  1\n  2\nb: >-\n  c\n",
        "a: 2020-01-31\nb: 1e5\nc: 0x1f\nd: 1_000\ne: 10:30\nf: .inf\n",
        "a: ~\nb:\nc: 'no'\nd: \"\\u00e9\"\n",
        "a: !\n",
        "a: !!int '3'\n",
        "",
        "a",
    ],
)
def test_libyaml_reads_what_the_python_parser_reads(text: str) -> None:
    assert repr(read(text, "")) == repr(yaml.load(text, _Loader))


def test_a_merge_may_give_a_key_again() -> None:
    text = "a: &a {x: 1, y: 2}\nb: &b {<<: *a, x: 3}\nc: {<<: *b, x: 4}\n"
    assert read(text, "") == yaml.safe_load(text)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"\xef\xbb\xbfname: churn\n", None),
        (b"name: caf\xe9", "byte 0xe9 at place 10, which is not UTF-8"),
        (None, "No such file"),
    ],
)
def test_a_file_is_read_as_utf8(tmp_path: Path, content: bytes | None, said: str | None) -> None:
    path = tmp_path / "churn.yaml"
    if content is not None:
        path.write_bytes(content)
    if said is None:
        assert read_mapping(path) == {"name": "churn"}
        return
    with pytest.raises(JobFileError) as caught:
        read_mapping(path)
    assert str(caught.value).startswith(f"churn.yaml: found {said}")


# ---------------------------------------------------------------- other ways in


def test_a_setting_of_a_column_with_dots_can_be_changed() -> None:
    job = Job.model_validate(with_value(("features", "a.b=c"), {"type": "float"}))
    assert changed_job(job, ["features.a.b=c.drift=ignored"]).features["a.b=c"].role == "ignored"


def test_a_change_that_is_wrong_names_its_path() -> None:
    job = load_job(HOME / "jobs" / "flight_delay.yaml")
    with pytest.raises(
        JobFileError, match=r"retraining\.cooldown: found an unknown key; did you mean cooldown_nights\?"
    ):
        changed_job(job, ["retraining.cooldown=7"])


def test_a_job_that_is_not_there_is_told_what_was_meant() -> None:
    with pytest.raises(JobFileError, match=r"did you mean flight_delay\? If not: nightshift new-job flights_delay"):
        find_job(HOME / "jobs", "flights_delay")
