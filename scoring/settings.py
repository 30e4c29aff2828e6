"""The settings of an installation, read from environment variables. No other module reads them."""

from __future__ import annotations

import os
import pwd
import re
import subprocess
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict, exceptions

from scoring import __version__
from scoring.cores import usable_cores
from scoring.errors import SettingsError
from scoring.private_files import close_folder, is_own, own_files_only, require_own
from scoring.secret_files import FILLED, with_secrets
from scoring.secrets import SECRETS, secrets_of
from scoring.serving import ServingPolicy
from scoring.validation import Strict, problems

HOME = Path(__file__).resolve().parent.parent
STAGING_PATTERN = r"^[a-z_][a-z0-9_]{0,62}$"
QUIET = {
    "DO_NOT_TRACK": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
    "SCARF_ANALYTICS": "false",
    "GIT_PYTHON_REFRESH": "quiet",
}
STORE_SECRETS = (
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "FSSPEC_S3_SECRET",
    "FSSPEC_S3_TOKEN",
    "AZURE_STORAGE_ACCOUNT_KEY",
    "AZURE_STORAGE_SAS_TOKEN",
    "AZURE_STORAGE_CONNECTION_STRING",
    "AZURE_STORAGE_CLIENT_SECRET",
)
"""Variables with which the libraries of object stores log in. Nightshift only masks their values."""
DATA_FOLDERS = ("lake", "demo_lake", "models", "cache", "airflow", "backtests", "serving", "environments")
"""Folders of ours in the data folder, but for that of PostgreSQL, which closes its own."""
SHORTEST_TOKEN = 16
"""Characters of the shortest token that opens the metrics. A shorter one could be guessed."""
PASSIVE_THREADS = {"OMP_WAIT_POLICY": "PASSIVE"}


def _long_enough(token: SecretStr) -> SecretStr:
    if len(token.get_secret_value()) < SHORTEST_TOKEN:
        raise ValueError(f"expected a token of {SHORTEST_TOKEN} characters or more")
    return token


class RetentionPolicy(Strict):
    """How long an installation keeps old runs, predictions, versions and snapshots. Without ``apply`` nothing is removed."""

    superseded_days: int = Field(default=30, ge=1)
    """Days after a run was replaced as the published one, or ended without becoming it."""
    failed_days: int = Field(default=30, ge=1)
    """Days after a run failed, was abandoned, discarded or skipped."""
    shadow_days: int = Field(default=180, ge=1)
    """Days that predictions of a version that only shadows the champion are kept."""
    request_days: int = Field(default=180, ge=1)
    """Days that predictions made on demand are kept."""
    version_days: int = Field(default=180, ge=1)
    """Days after a model version was trained."""
    versions_kept: int = Field(default=10, ge=1)
    """Number of the newest versions of a job that stay whatever their age."""
    snapshot_days: int = Field(default=90, ge=1)
    """Days after a training snapshot was made."""
    apply: bool = False
    """Whether the scheduled DAG removes. Otherwise it only lists what it would remove."""


class Settings(BaseSettings):
    """Where sources, warehouse, registry and lake are. A URL that is unset stands for the embedded default.

    Read from ``NIGHTSHIFT_*`` variables and, below them, from ``nightshift.env`` in the project folder.
    """

    model_config = SettingsConfigDict(
        env_prefix="NIGHTSHIFT_",
        env_nested_delimiter="__",
        env_file=HOME / "nightshift.env",
        frozen=True,
        extra="ignore",
        env_ignore_empty=True,
    )

    home: Path = HOME
    """The project's folder."""
    data_dir: Path = HOME / "data"
    """Where everything embedded lies: PostgreSQL, lake, models, Airflow's home."""
    jobs_dir: Path = HOME / "jobs"
    """Folder of the job files."""
    sql_dir: Path = HOME / "sql"
    """Folder of the SQL statements."""
    sources: dict[str, SecretStr] = Field(default_factory=dict)
    """Sources by the name that job files use: ``NIGHTSHIFT_SOURCES__<NAME>=<URL>``, of a database or of files, ``duckdb:///…``."""
    staging: dict[str, Annotated[str, Field(pattern=STAGING_PATTERN)]] = Field(default_factory=dict)
    """Schema of a source, by the source's name, in which its login may create tables: ``NIGHTSHIFT_STAGING__<NAME>=<schema>``.

    Jobs with ``shards`` then run their SQL once into a table there, which the tasks read side by side. Unset: one task reads."""
    warehouse_url: SecretStr | None = None
    """PostgreSQL of the warehouse, unset for the embedded one."""
    analyst_url: SecretStr | None = None
    """The warehouse's URL with a login of the role nightshift_analyst, for ``sql``. Unset: see the operator's page."""
    registry_url: SecretStr | None = None
    """MLflow tracking and registry URI: a server (http…) or a database, unset for the embedded PostgreSQL."""
    artifacts_url: str | None = Field(default=None, repr=False)
    """Where model artifacts lie, ``s3://…``, ``gs://…``, ``wasbs://…`` or a folder, unset for ``data/models``. An MLflow server
    keeps its own."""
    lake_url: str | None = Field(default=None, repr=False)
    """Root of the lake, ``s3://…``, ``gs://…``, ``az://…`` or a folder, unset for ``data/lake``."""
    secrets_dir: Path | None = None
    """Folder of files with a secret each, as Docker and Kubernetes mount them: ``{name}`` in a URL, of a source too, stands for
    what the file ``name`` holds, quoted as URLs ask for it; ``{name}`` alone is the file as it is. Unset: a brace is a brace."""
    alert_urls: SecretStr | None = None
    """Where alerts go, as Apprise URLs with commas between them, unset for nowhere."""
    metrics_token: Annotated[SecretStr, AfterValidator(_long_enough)] | None = None
    """What a scraper of ``/nightshift/metrics`` sends as its bearer token, 16 characters or more. Unset: Airflow's login only."""
    cpu_hour_price: float | None = Field(default=None, ge=0)
    """Price of an hour of CPU time, in any currency, from which the cost of predictions is told. Unset: no cost is told."""
    code_version: str | None = None
    """What the ledger calls the code, unset for the git commit."""
    score_threads: int | None = Field(default=None, ge=1, le=64)
    """Threads that score chunks in ``run``, unset for one per core that the process may use. A task that shares a
    night with others has one if it is unset."""
    version_environments: Literal["never", "allowed"] = "never"
    """Whether a night may install the libraries of an old version that these ones no longer fit, in a folder of its own. With
    ``never`` only ``nightshift environment`` does; what it has made is used."""
    check_seconds: int = Field(default=60, ge=1)
    """How long `check` may try a job's pipeline on made-up rows."""
    airflow_port: int = Field(default=8080, ge=1024, le=65535)
    """Port on 127.0.0.1 of the Airflow of ``make up``."""
    retention: RetentionPolicy = RetentionPolicy()
    """What is kept, and for how long: ``NIGHTSHIFT_RETENTION__<NAME>``."""
    serve: ServingPolicy = ServingPolicy()
    """What `nightshift serve` may use: ``NIGHTSHIFT_SERVE__<NAME>``."""

    @model_validator(mode="before")
    @classmethod
    def _fill_secrets_in(cls, values: dict[str, Any]) -> dict[str, Any]:
        folder = values.get("secrets_dir")
        if not folder:
            return values
        urls = {name: with_secrets(values[name], Path(folder)) for name in FILLED if name in values}
        return {**values, **urls}

    def model_post_init(self, context: object, /) -> None:
        """Register every secret, so that it is masked in messages."""
        for url in (*self.sources.values(), self.warehouse_url, self.analyst_url, self.registry_url):
            SECRETS.add(secrets_of(url.get_secret_value()) if url is not None else [])
        for plain in (self.lake_url, self.artifacts_url):
            SECRETS.add(secrets_of(plain or ""))
        SECRETS.add([self.metrics_token.get_secret_value()] if self.metrics_token else [])
        SECRETS.add(os.environ[name] for name in STORE_SECRETS if os.environ.get(name))
        for receiver in (self.alert_urls.get_secret_value() if self.alert_urls else "").split(","):
            SECRETS.add(secrets_of(receiver.strip(), whole=True))

    @property
    def threads(self) -> int:
        """Return how many threads score chunks in ``run``."""
        return self.score_threads or usable_cores()

    @property
    def lake_root(self) -> str:
        """Return the lake's root: an fsspec URL, or a local folder."""
        return self.lake_url or str(self.data_dir / "lake")

    @property
    def artifacts_root(self) -> str:
        """Return where the embedded registry keeps model artifacts."""
        return self.artifacts_url or str(self.data_dir / "models")

    @property
    def postgres_dir(self) -> Path:
        """Return the folder of the embedded PostgreSQL cluster."""
        return self.data_dir / "postgres"

    @property
    def airflow_home(self) -> Path:
        """Return the folder of the local Airflow."""
        return self.data_dir / "airflow"

    def environment(self) -> dict[str, str]:
        """Return the ``NIGHTSHIFT_*`` variables that give a child process these settings. Secrets are in the clear."""
        variables = {}
        for name in self.model_fields_set - {"sources", "staging", "retention", "serve"}:
            value = getattr(self, name)
            if value is not None:
                plain = value.get_secret_value() if isinstance(value, SecretStr) else value
                variables[f"NIGHTSHIFT_{name.upper()}"] = str(plain)
        sources = {f"NIGHTSHIFT_SOURCES__{name.upper()}": url.get_secret_value() for name, url in self.sources.items()}
        policies = {
            f"NIGHTSHIFT_{prefix}__{name.upper()}": str(getattr(policy, name))
            for prefix, policy in (("RETENTION", self.retention), ("SERVE", self.serve))
            for name in policy.model_fields_set
        }
        staging = {f"NIGHTSHIFT_STAGING__{name.upper()}": schema for name, schema in self.staging.items()}
        return {**variables, **sources, **staging, **policies}

    def sql_path(self, job: str, statement: str) -> Path:
        """Return the path of one statement of a job, ``sql/<job>/<statement>.sql``."""
        return self.sql_dir / job / f"{statement}.sql"


@lru_cache(maxsize=1)
def load_settings() -> Settings:
    """Return the settings of this process, read once. From then on its files, and the data folder, are its user's only."""
    quiet_telemetry()
    own_files_only()
    try:
        settings = Settings()
    except ValidationError as error:
        raise SettingsError(_explained(error), next_step="see docs/reference/settings.md") from None
    except exceptions.SettingsError as error:
        name = "NIGHTSHIFT_" + "".join(re.findall(r'field "(\w+)"', str(error))).upper()
        raise SettingsError(
            f"environment variable {name}",
            found="no JSON",
            expected=f"{name}__<NAME>, one variable a value",
            next_step="see docs/reference/settings.md",
        ) from None
    close_folder(settings.data_dir, DATA_FOLDERS)
    return settings


def _explained(error: ValidationError) -> str:
    """Return a line for every variable that does not fit, without its value, which can be a secret in the wrong place."""
    lines = [
        f"environment variable NIGHTSHIFT_{path.replace('.', '__').upper()}: {sentence}"
        for path, sentence in problems(error, Settings, with_values=False)
    ]
    return lines[0] if len(lines) == 1 else f"{len(lines)} environment variables\n  - " + "\n  - ".join(lines)


def quiet_telemetry() -> None:
    """Switch off the telemetry of evidently, mlflow and airflow, and OpenMP's spinning, in this process.

    Threads that spin while they wait made one fit 5-20 times slower on a busy two-core machine, so they sleep.
    Both must be set before the libraries load. A value that is already set stays.
    """
    for name, value in {**QUIET, **PASSIVE_THREADS}.items():
        os.environ.setdefault(name, value)


def private_runtime_folder(temporary: str) -> Path:
    """Return this user's runtime folder, and point ``XDG_RUNTIME_DIR`` at it unless that names one of this user's.

    Without it the embedded PostgreSQL's lock file lies in the temporary folder, where the first user shuts out all
    others. Sockets need a short path, so this folder lies there too, below ``temporary``, one per user. Raises
    ``SettingsError`` when somebody else has made it.
    """
    named = os.environ.get("XDG_RUNTIME_DIR")
    if named and os.access(named, os.W_OK | os.X_OK) and is_own(Path(named)):
        return Path(named)
    folder = require_own(Path(temporary) / f"nightshift-{os.getuid()}")
    os.environ["XDG_RUNTIME_DIR"] = str(folder)
    return folder


def system_user() -> str:
    """Return the operating system's user that this process runs as, whatever the environment says.

    Of a user without a name it is the number, such as ``uid 50000``.
    """
    number = os.getuid()
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return f"uid {number}"


def child_environment(extra: dict[str, str]) -> dict[str, str]:
    """Return the environment for a child process: this one's, quiet, with ``extra`` on top."""
    quiet_telemetry()
    return {**os.environ, **extra}


def code_version(settings: Settings) -> str:
    """Return the version of the code that runs: the setting, the git commit, or the package's version."""
    if settings.code_version:
        return settings.code_version
    try:
        commit = subprocess.run(
            ["git", "-C", str(settings.home), "describe", "--always", "--dirty"],
            capture_output=True,
            text=True,
            check=True,
            timeout=10,
        )
    except (OSError, subprocess.SubprocessError):
        return __version__
    return f"{__version__}+{commit.stdout.strip()}"
