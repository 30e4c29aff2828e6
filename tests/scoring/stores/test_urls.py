"""URLs as people write them: read alike by every driver, or refused with what is wrong and without their value."""

from __future__ import annotations

import psycopg
import pytest
import sqlalchemy as sa

from scoring.errors import SettingsError
from scoring.stores.urls import database_url, libpq_url, with_options, written

PASSWORDS = ["plain", "with space", "a+b", "a@b", "a%b", "a:b", "a/b", "100%", "%41", "a?b#c&d=e", "ünï", "'\"\\"]


@pytest.mark.parametrize(
    "text",
    ["postgres://u@h/d", "postgresql://u@h/d", "pgsql://u@h/d", "POSTGRES://u@h/d", "postgresql+psycopg2://u@h/d"],
)
def test_every_name_of_postgresql_is_postgresql(text):
    assert database_url(text, "X").drivername == "postgresql+psycopg"
    assert libpq_url(text) == "postgresql://u@h/d"


@pytest.mark.parametrize("password", PASSWORDS)
def test_encoded_password_survives_sqlalchemy_and_libpq(password):
    url = sa.URL.create("postgresql+psycopg", "reader", password, "h", 5432, "d")
    for text in (written(url), url.render_as_string(hide_password=False)):
        read = database_url(text, "X")
        assert (read.password, read.username, read.host, read.port, read.database) == (
            password,
            "reader",
            "h",
            5432,
            "d",
        )
    assert psycopg.conninfo.conninfo_to_dict(libpq_url(written(url)))["password"] == password


@pytest.mark.parametrize("password", ["with space", "a+b", "a@b", "a:b", "a/b", "a@b@c", "100%", "a?b", "a#b"])
def test_password_that_is_not_encoded_is_read_to_the_last_at(password):
    assert database_url(f"postgres://reader:{password}@h/d?sslmode=disable", "X").password == password


def test_plus_is_a_plus_in_a_password_of_the_query():
    assert database_url("postgres://h/d?user=u&password=a+b", "X").query["password"] == "a+b"


@pytest.mark.parametrize("options", ["-c search_path=shop", "-c%20search_path%3Dshop", "-c+search_path=shop"])
def test_options_reach_libpq_with_spaces(options):
    plain = libpq_url(f"postgres://u@h/d?options={options}")
    assert plain == "postgresql://u@h/d?options=-c%20search_path%3Dshop"
    assert psycopg.conninfo.conninfo_to_dict(plain)["options"] == "-c search_path=shop"


def test_options_of_a_session_come_behind_those_of_the_url():
    url = database_url("postgres://u@h/d?options=-c search_path=shop", "X")
    assert with_options(url, "-c role=analyst").query["options"] == "-c search_path=shop -c role=analyst"
    assert with_options(database_url("postgres://u@h/d", "X"), "-c a=b").query["options"] == "-c a=b"


@pytest.mark.parametrize(
    "text",
    [
        "sqlite:////tmp/u@x/a b.db?timeout=0.1",
        "sqlite://",
        "postgresql://[::1]:5432/d",
        "mysql+pymysql://u:p@h/d",
        "postgresql+psycopg://u@/d?host=/run/x y",
        "snowflake://u:p@account/db/schema?warehouse=w",
    ],
)
def test_other_urls_stay_as_they_are(text):
    expected = sa.make_url(text.replace("postgresql://", "postgresql+psycopg://"))
    assert database_url(text, "X") == expected
    assert sa.make_url(written(expected)) == expected


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", "nothing"),
        ("   ", "nothing"),
        ("'postgresql://u:s3cr3t@h/d'", "a URL in quotes"),
        ('"postgresql://u:s3cr3t@h/d"', "a URL in quotes"),
        ('postgresql://u:s3cr3t@h/d"', "a URL in quotes"),
        ("jdbc:postgresql://h/d?user=u&password=s3cr3t", "a JDBC URL"),
        ("host=h dbname=d password=s3cr3t", "a libpq connection string"),
        ("dbname='d' user = u password='s3cr3t'", "a libpq connection string"),
        ("Driver={x};Server=h;PWD=s3cr3t", "an ODBC connection string"),
        ("u:s3cr3t@h/d", "text without a scheme"),
        ("shop", "text without a scheme"),
        ("postgresql:/u:s3cr3t@h/d", "text without a scheme"),
        ("https://u:s3cr3t@h/d", "an address that begins with https://"),
        ("postgresql://u:s3cr3t@h:port/d", "a malformed URL"),
        ("://u:s3cr3t@h/d", "a scheme that is none"),
        ("sqlite://shop.db", "sqlite:// and a name"),
    ],
)
def test_what_is_no_url_is_refused_with_what_is_wrong_and_without_its_value(text, found):
    with pytest.raises(SettingsError, match=f"NIGHTSHIFT_SOURCES__SHOP: found {found}") as caught:
        database_url(text, "NIGHTSHIFT_SOURCES__SHOP")
    assert "s3cr3t" not in str(caught.value)
    assert "expected " in str(caught.value)
