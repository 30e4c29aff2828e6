"""Pages as a browser reads them: tags, links and words, after what must hold of every page."""

from __future__ import annotations

import re
from html.parser import HTMLParser

from fastapi.testclient import TestClient

from tests.conftest import Toy

EVIL = "<script>alert('x')</script>"
POLICY_OUTSIDE = re.compile(r"https?:|//")
"""A link to another host."""


class Read(HTMLParser):
    """Tags, links and text of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.parts: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        if not self.tags or self.tags[-1] != "style" or self.cdata_elem is None:
            self.parts.append(data)

    @property
    def links(self) -> list[str]:
        return [value or "" for name, value in self.attributes if name in ("href", "src")]

    @property
    def words(self) -> str:
        return " ".join(" ".join(self.parts).split())

    @property
    def text(self) -> str:
        return "".join(self.parts)


def read(client: TestClient, path: str, status: int = 200) -> Read:
    """Return a page, after what must hold of every page."""
    answer = client.get(path.lstrip("/"))
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["x-content-type-options"] == "nosniff"
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "script" not in policy
    page = Read(answer.text)
    assert {"script", "iframe", "form", "img", "link", "object"} & set(page.tags) == set()
    assert [name for name, _ in page.attributes if name.startswith("on") or name == "style"] == []
    assert [link for link in page.links if POLICY_OUTSIDE.search(link)] == []
    return page


def home(toy: Toy) -> str:
    """Return the path of the job's page."""
    return f"/jobs/{toy.job.name}"
