"""Where a job's SQL has parameters, and where it only has colons."""

from __future__ import annotations

import pytest

from scoring.errors import SourceQueryError
from scoring.stores.source.sql_text import Parameter, Statement, statement_of


def parsed(text: str, database: str = "postgresql") -> Statement:
    return statement_of(text, database, "sql/shop/features.sql")


def names(text: str, database: str = "postgresql") -> list[str]:
    return [piece.name for piece in parsed(text, database).pieces if isinstance(piece, Parameter)]


def as_written(statement: Statement) -> str:
    return "".join(piece if isinstance(piece, str) else f":{piece.name}" for piece in statement.pieces)


@pytest.mark.parametrize(
    "text",
    [
        "select ':noon'",
        "select '{\"a\":true}'",
        "select '{\"a\":true}'::jsonb ->> 'a:b'",
        "select '(?:a|b)'",
        "select 'it''s :noon'",
        "select 'ends with a backslash \\', x -- :noon",
        r"select E'it\'s :noon'",
        r"select e'\\', x -- :noon",
        "select U&'d:x'",
        "select N':noon'",
        "select 'a' ':noon'",
        "select 'over\nlines :noon'",
        "select 1 -- todo :later",
        "select 1 -- it's :later\n",
        "select 1 -- :later\r\n, 2",
        "select /* :maybe */ 1",
        "select /* a /* b :maybe */ c :maybe */ 1",
        "select $$ :noon $$",
        "select $a$ :noon $$ :noon $a$",
        "select $é$ ' :noon $é$",
        'select "a:b", "it""s:b"',
        "select arr[1:2], arr[1 : 2], arr[:2], arr[1:]",
        "select arr[low:high], arr[low :high], arr[:n], arr[f(1):n]",
        "select x::text, x :: text, (x)::int[], '1'::text::int",
        "select f(a := 1)",
        "select json_object('a':1, 'b':c, 'd' : e)",
        "select time '12:30', '12:30'::time, timestamp '2024-01-01 12:30:00'",
    ],
)
def test_colon_that_is_none_in_sql_is_no_parameter(text):
    assert names(text) == []
    assert as_written(parsed(text)) == text


@pytest.mark.parametrize(
    "text",
    [
        "x >= :night",
        "x>=:night",
        "x >=:night::date",
        "x = :night::date::text",
        "x in (:night)",
        "x between :night and y",
        "f(1, :night)",
        "case when :night then 1 end",
        "x at time zone :night",
        "arr[:night]",
        "arr[1: :night]",
        "arr[f(:night):2]",
        "json_object('a': :night)",
        "x = :night -- :later",
        "x = /* :maybe */ :night",
        "':noon' < :night",
        "\n:night",
        "x = :night\n;",
        "x->>'a' = :night",
        "x @> '{\"a\":1}' and :night",
        "größe = ':noon' and x >= :night",
        ":night = $$ :noon $$",
    ],
)
def test_name_behind_a_colon_is_a_parameter_where_a_value_may_stand(text):
    assert names(f"select {text}") == ["night"]


@pytest.mark.parametrize(
    ("database", "text"),
    [
        ("sqlite", "select [a:b], `c:d`, \"e:f\", ':noon' where x >= :night"),
        ("mysql", "select 'it\\'s :noon', 5--3 -- :later\n# :later\nwhere x >= :night"),
        ("mariadb", "select `a:b` where x >= :night"),
        ("mssql", "select [a:b], N':noon' where x >= :night"),
        ("oracle", "select q'[ it's :noon ]' from dual where x >= :night"),
        ("snowflake", "select doc:night, doc:a.b::text, $$ :noon $$ where x >= :night"),
        ("duckdb", "select {'a':1, 'b': 2}, arr[1:2] where x >= :night"),
        ("nobody_knows", "select ':noon' where x >= :night"),
    ],
)
def test_every_database_has_its_own_text_and_comments(database, text):
    assert names(text, database) == ["night"]
    assert as_written(parsed(text, database)) == text


def test_parameters_of_all_names_are_found_so_that_unknown_ones_can_be_named():
    assert names("select :1, :least, :interval_start, :interval_start") == [
        "1",
        "least",
        "interval_start",
        "interval_start",
    ]


@pytest.mark.parametrize(
    "text", ["select 1;", "select 1 ; ", "select 1; -- done", "select 1;;\n/* ; */", "select 1;-- ;"]
)
def test_semicolon_at_the_end_is_dropped_also_before_a_comment(text):
    written = as_written(parsed(text))
    assert ";" not in written.replace("-- ;", "").replace("/* ; */", "")
    assert written.startswith("select 1")


def test_colon_that_is_escaped_for_sqlalchemy_outside_of_text_is_a_plain_colon():
    assert (
        as_written(parsed(r"select a[1\:n], x\:\:text, 'a\:b', \:night")) == r"select a[1:n], x::text, 'a\:b', :night"
    )
    assert names(r"select \:night, \:\:night") == []


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("select 1; select 2", "several statements"),
        ("select ';'; -- a comment\nselect 2;", "several statements"),
        ("", "no statement"),
        (" ; ", "no statement"),
        ("-- select 1", "no statement"),
        ("select 'never closed", "ends within a string"),
        ('select "never closed', "ends within a string"),
        ("select /* never closed", "ends within a string"),
        ("select $a$ never closed $$", "ends within a string"),
    ],
)
def test_text_that_is_not_one_statement_is_refused_with_its_file(text, found):
    with pytest.raises(SourceQueryError, match=r"sql/shop/features\.sql: found ") as caught:
        parsed(text)
    assert found in str(caught.value)
    assert "Next: " in str(caught.value)


@pytest.mark.parametrize(
    "text",
    ["select :interval_start, :interval_end", "select :night", "select :night, :interval_start, :interval_end"],
)
def test_a_statement_may_bind_the_interval_or_the_night_or_both(text):
    parsed(text).require_parameters("x.sql")
    assert parsed(text).by_night is (":night" in text)


@pytest.mark.parametrize(
    "text", ["select 1", "select :interval_start", "select :night, :interval_end", "select :night, :day"]
)
def test_a_statement_that_binds_neither_is_refused_with_what_it_binds(text):
    with pytest.raises(SourceQueryError) as caught:
        parsed(text).require_parameters("x.sql")
    assert f"found {sorted(parsed(text).names)}" in str(caught.value)
    assert "or :night" in str(caught.value)


@pytest.mark.parametrize(
    "text", ["select :night", "select :night, :interval_end", "select :night, :interval_start, :interval_end"]
)
def test_a_snapshot_binds_the_night_and_may_bind_its_end(text):
    parsed(text).require_parameters("x.sql", snapshot=True)


@pytest.mark.parametrize("text", ["select 1", "select :interval_end", "select :night, :day"])
def test_a_snapshot_that_does_not_bind_the_night_is_refused(text):
    with pytest.raises(SourceQueryError, match="expected :night, and no others than :interval_end") as caught:
        parsed(text).require_parameters("x.sql", snapshot=True)
    assert "kind: events" in str(caught.value)
