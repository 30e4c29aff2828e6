"""A hostile or broken job file stops only itself, at once."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
import yaml

from scoring.errors import JobFileError
from scoring.job.factory import factory_of
from scoring.job.files import load_jobs
from scoring.job.yaml_text import LARGEST
from scoring.settings import HOME

BOMB = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 10)}]\n" for level in range(1, 10)
)
HOSTILE = {
    "nested lists": ("tags: " + "[" * 3000 + "]" * 3000, "more than 20 levels deep"),
    "nested lists that the fast parser takes": ("tags: " + "[" * 900 + "]" * 900, "more than 20 levels deep"),
    "nested mappings": ("tags: " + "{a: " * 500 + "1" + "}" * 500, "more than 20 levels deep"),
    "nested by indentation": ("\n".join(f"{' ' * level}a:" for level in range(600)), "more than 20 levels deep"),
    "nested through aliases": (
        "a0: &a0 [[[[[[x]]]]]]\n" + "".join(f"a{n}: &a{n} [[[[*a{n - 1}]]]]\n" for n in range(1, 6)),
        "more than 20 levels deep",
    ),
    "a list that holds itself": ("tags: &a [*a]", "more than 20 levels deep"),
    "an alias bomb": (BOMB, "more than 50,000 values"),
    "an alias bomb that PyYAML's own parser reads": (BOMB + "b: '!'\n", "more than 50,000 values"),
    "a merged bomb": (
        "a: &a {" + ", ".join(f"k{n}: 1" for n in range(99)) + "}\nb: [" + ", ".join(["*a"] * 300) + "]",
        "values",
    ),
    "a large file": ("# " + "x" * LARGEST, f"expected a readable YAML file of at most {LARGEST:,}"),
    "a key twice": ("name: a\nname: b", "the key 'name' a second time"),
    "a key twice, deep": ("gate: {min_rows: 1, min_rows: 0}", "the key 'min_rows' a second time"),
    "a tag": ("name: !!python/object/apply:os.system [true]", "a tag"),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_hostile_file_is_refused_at_once_and_the_other_jobs_are_read(tmp_path: Path, what: str) -> None:
    text, said = HOSTILE[what]
    (tmp_path / "hostile.yaml").write_text(text)
    (tmp_path / "flight_delay.yaml").write_bytes((HOME / "jobs" / "flight_delay.yaml").read_bytes())
    began = time.process_time()
    jobs, broken = load_jobs(tmp_path)
    assert time.process_time() - began < 5
    assert [job.name for job in jobs] == ["flight_delay"]
    assert said in str(broken["hostile"])
    assert len(str(broken["hostile"])) < 2000


def test_anchors_and_merges_of_a_usual_file_are_read(tmp_path: Path) -> None:
    content = yaml.safe_load((HOME / "jobs" / "flight_delay.yaml").read_text())
    shared = "x: &number {type: float, nullable: true}\n"
    assert yaml.safe_load(shared + "y: *number")["y"] == {"type": "float", "nullable": True}
    (tmp_path / "flight_delay.yaml").write_text(yaml.safe_dump(content, sort_keys=False, default_flow_style=False))
    assert load_jobs(tmp_path)[1] == {}


@pytest.mark.parametrize(
    "path", ["os:system", "os.path:join", "sys:exit", "builtins:exec", "subprocess:run", "pandas:read_pickle"]
)
def test_pipeline_of_a_library_is_refused_before_it_is_called(path: str) -> None:
    with pytest.raises(JobFileError, match="is a library; expected a function of the project"):
        factory_of("churn", path)


def test_pipeline_of_the_project_is_taken() -> None:
    assert callable(factory_of("flight_delay", "jobs.flight_delay:build_pipeline"))
