"""Tables as people have them, to begin jobs from: dirty text, ids, phones, nulls, times in several forms."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

FIRST = datetime(2024, 1, 1, tzinfo=UTC)
NIGHTS = 40
A_NIGHT = 40
"""Rows of a night."""
ORDERS = (
    '"Order ID" text, created_at text, "Customer Name" text, phone text, Country text, price text, discount text, '
    "items integer, weight real, month_name text, weekday integer, year integer, note text, delivered_at text, status text, "
    'photo blob, night integer, "Late?" text'
)
"""The columns of the table ``orders``."""


def orders() -> list[tuple[Any, ...]]:
    """Return the rows of ``NIGHTS`` nights. The last three have no outcome yet; one row is there twice."""
    random = np.random.default_rng(0)
    rows = []
    for number in range(NIGHTS * A_NIGHT):
        at = FIRST + timedelta(minutes=36 * number)
        price, items = float(random.lognormal(3, 0.7)), int(random.integers(1, 9))
        country = str(random.choice(["DE", "de", "fr ", "it"]))
        late = 0.03 * (price - 20) + 0.3 * (items - 4) + (country == "it") + random.normal() / 2 > 0
        known = number < (NIGHTS - 3) * A_NIGHT
        rows.append(
            (
                f"ORD-{number:06d}",
                f"{at:%Y-%m-%d %H:%M:%S}",
                f"Anna Huber {number}",
                f"+43 650 {random.integers(1_000_000, 9_999_999)}",
                country,
                f"{price:.2f}".replace(".", ","),
                str(random.choice(["", "5%", "10 %", "n/a"])),
                items,
                None if random.random() < 0.1 else float(random.gamma(2, 2)),
                f"{at:%B}",
                at.weekday(),
                at.year,
                f"please ring {number} times",
                f"{at + timedelta(days=2):%Y-%m-%d %H:%M:%S}" if known else None,
                ("delayed" if late else "done") if known else None,
                b"\xff\x00",
                int(random.integers(1, 4)),
                ("Yes" if late else str(random.choice(["no", "No"]))) if known else None,
            )
        )
    return [*rows, rows[-1]]


def customers(days: int = 30, count: int = 40) -> list[tuple[Any, ...]]:
    """Return a row per day and customer: (day, id, mail, plan, logins, churned). The last two days have no outcome yet."""
    random = np.random.default_rng(1)
    rows = []
    for day in range(days):
        for number in range(count):
            logins = int(random.poisson(5))
            left = bool(random.random() < 1 / (1 + np.exp(logins - 3)))
            written = str(date(2024, 3, 1) + timedelta(days=day))
            mail, plan = f"c{number}@example.org", ["free", "pro", "team"][number % 3]
            rows.append((written, number, mail, plan, logins, None if day >= days - 2 else int(left)))
    return rows


CUSTOMER_DAYS = (
    '"day" text, "Customer ID" integer, "E-Mail" text, "Company" text, age integer, income real, tenure real, '
    "logins integer, churned integer"
)
"""The columns of the table ``customer_days``."""


def customer_days(days: int = 80, count: int = 150) -> list[tuple[Any, ...]]:
    """Return a history of stable customers, 2 % of the e-mails null. An outcome is mostly noise that lasts for 20 days."""
    random = np.random.default_rng(4)
    stable = [
        (int(random.integers(18, 90)), float(random.normal(40, 9)), float(random.gamma(2, 3))) for _ in range(count)
    ]
    noise = random.normal(size=(days // 20 + 1, count))
    logins, empty = random.poisson(5, (days, count)), random.random((days, count)) < 0.02
    rows = []
    for day in range(days):
        written = str(date(2024, 3, 1) + timedelta(days=day))
        for number in range(count):
            mail = None if empty[day, number] else f"c{number}@example.org"
            left = int(noise[day // 20, number] + 0.15 * (5 - logins[day, number]) > 1.15)
            rows.append(
                (written, number, mail, f"Firm {number * 2 // 3}", *stable[number], int(logins[day, number]), left)
            )
    return rows


def fill(path: Path, table: str, columns: str, rows: Sequence[tuple[Any, ...]]) -> None:
    """Make a table in a SQLite file."""
    marks = ", ".join("?" * len(rows[0])) if rows else ""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"create table {table} ({columns})")
        if rows:
            connection.executemany(f"insert into {table} values ({marks})", rows)
        connection.commit()
