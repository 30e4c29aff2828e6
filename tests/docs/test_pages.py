"""The pages as a whole: links lead somewhere, marks have reasons, the README is short, the glossary's names exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from scoring.settings import HOME
from tests.support.docs import LINK, PAGES, Block, anchors_of, blocks_of, prose_of, shell_blocks
from tools.screenshots import LARGEST

DOCS = HOME / "docs"
CODE = ("scoring", "drift", "lifecycle", "orchestration", "cli", "pages", "dags", "demo", "sql")
FOLDERS = (*CODE, "jobs", "bench", "docs", "tools", "tests")


def _name(page: Path) -> str:
    return str(page.relative_to(HOME))


def broken_links(page: Path) -> list[str]:
    """Return the links of a page that lead to no file, or to no heading of it."""
    broken = []
    for target in LINK.findall(prose_of(page)):
        if re.match(r"https?://|mailto:", target):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        if not file.exists() or (anchor and anchor not in anchors_of(file)):
            broken.append(target)
    return broken


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_links_lead_somewhere(page: Path):
    assert broken_links(page) == []


@pytest.mark.parametrize("page", sorted(DOCS.rglob("*.md")), ids=_name)
def test_page_of_the_site_links_within_the_site(page: Path):
    outside = [target for target in LINK.findall(prose_of(page)) if "://" not in target and not _inside(page, target)]
    assert outside == []


def _inside(page: Path, target: str) -> bool:
    return (page.parent / target.partition("#")[0]).resolve().is_relative_to(DOCS)


def test_every_page_is_in_the_navigation():
    configuration = yaml.safe_load((HOME / "mkdocs.yml").read_text(encoding="utf-8"))
    listed = set(_leaves(configuration["nav"]))
    assert listed == {str(page.relative_to(DOCS)) for page in DOCS.rglob("*.md")}


def _leaves(entry: object) -> list[str]:
    if isinstance(entry, str):
        return [entry]
    parts = entry.values() if isinstance(entry, dict) else entry
    assert hasattr(parts, "__iter__")
    return [leaf for part in parts for leaf in _leaves(part)]


def test_readme_has_at_most_150_lines():
    assert len((HOME / "README.md").read_text(encoding="utf-8").splitlines()) <= 150


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_page_begins_with_one_title(page: Path):
    text = prose_of(page)
    assert text.startswith("# ")
    assert len(re.findall(r"^# ", text, re.MULTILINE)) == 1


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_no_page_names_a_door_that_is_gone(page: Path):
    assert re.findall(r"python -m (?:scoring|drift|demo)\b", page.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("picture", sorted((DOCS / "images").glob("*")), ids=lambda picture: picture.name)
def test_picture_is_small_and_shown_on_a_page(picture: Path):
    assert picture.stat().st_size < LARGEST
    assert any(picture.name in page.read_text(encoding="utf-8") for page in PAGES)


def missing_paths(page: Path) -> list[str]:
    """Return the paths in running text that begin with one of our folders and lead to nothing; placeholders pass."""
    named = re.findall(rf"`((?:{'|'.join(FOLDERS)})/[\w./-]*)`", prose_of(page))
    return [path for path in named if not any((HOME / f"{path}{end}").exists() for end in ("", ".py"))]


@pytest.mark.parametrize("page", [page for page in PAGES if page.name != "ml-engineer.md"], ids=_name)
def test_paths_in_running_text_exist(page: Path):
    assert missing_paths(page) == []


def glossary_names() -> list[str]:
    """Return the code names of the glossary's tables."""
    rows = re.findall(r"^\| [^|]+ \| `(\w+)` \|", (DOCS / "glossary.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert rows
    return rows


@pytest.mark.parametrize("name", glossary_names())
def test_name_of_the_glossary_is_in_the_code(name: str):
    files = [path for folder in CODE for kind in ("*.py", "*.sql") for path in (HOME / folder).rglob(kind)]
    assert any(re.search(rf"\b{name}\b", path.read_text(encoding="utf-8")) for path in files)


@pytest.mark.parametrize("block", [block for block in shell_blocks() if block.not_run], ids=lambda block: block.place)
def test_what_is_not_run_says_why(block: Block):
    assert block.not_run is not None
    assert len(block.not_run.split()) >= 4


# ---------------------------------------------------------------- the checks themselves can fail

PAGE = """# Title

<!-- not run: it needs a server that is not here -->
```console
$ nightshift status
what it prints
```

```python
print("nightshift status")
```

```bash
nightshift sql --csv "select 1"   # a comment
```
"""


def test_blocks_are_told_apart():
    console, python, bash = blocks_of(HOME / "x.md", PAGE)
    assert console.not_run == "it needs a server that is not here"
    assert console.script == "nightshift status\n"
    assert python.language == "python"
    assert bash.not_run is None
    assert bash.commands("nightshift") == [["sql", "--csv", "select 1"]]


def test_a_link_that_leads_nowhere_is_found(tmp_path: Path):
    page = tmp_path / "page.md"
    page.write_text("# Here\n\n[good](#here) [bad](#there) [gone](gone.md) [out](https://example.org)\n")
    assert broken_links(page) == ["#there", "gone.md"]


def test_a_path_that_leads_nowhere_is_found(tmp_path: Path):
    page = tmp_path / "page.md"
    page.write_text("# Here\n\n`scoring/night/publish` `scoring/gone.py` `jobs/<job>.yaml` `data/lake`\n")
    assert missing_paths(page) == ["scoring/gone.py"]
