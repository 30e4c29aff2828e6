"""Model versions: registered with a sha256, found by number, loaded only after the sha256 matched."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pyarrow as pa

from scoring.errors import NightshiftError, RegistryUnavailable, SettingsError, VersionMissing
from scoring.job import Job
from scoring.settings import Settings
from scoring.stores import embedded
from scoring.stores.failures import lasting
from scoring.stores.lake_problems import LIBRARIES, bucket_missing, credentials_of, denied, missing_library
from scoring.stores.registry.environments import Environments
from scoring.stores.registry.facts import TrainingFacts
from scoring.stores.registry.files import delete, sizes
from scoring.stores.registry.foreign import foreign_file
from scoring.stores.registry.formats import artifact_in
from scoring.stores.registry.loading import facts_of, loaded, seen_job
from scoring.stores.registry.stored_files import StoredFiles, manifest_of
from scoring.stores.registry.version import FACTS, PARAMS, PROFILE, ModelVersion, VersionRef, categories_of, tags_of
from scoring.stores.registry.version_files import VersionFiles
from scoring.stores.urls import database_url, written
from scoring.stores.warehouse import Warehouse, require_answer

_STORES = ("s3", "gs", "abfss")
"""Schemes of object stores that MLflow knows, among those that the lake knows."""
_SERVERS = ("http://", "https://", "databricks", "file:")


class Registry:
    """The MLflow registry. MLflow is imported at the first call that needs it (2.7 s)."""

    def __init__(self, settings: Settings, warehouse: Warehouse | None = None) -> None:
        """Use the registry that the settings name, or the embedded one.

        The warehouse, by default that of the settings, holds what each file of a version is by its sha256.
        """
        self._settings = settings
        self._stored = StoredFiles(settings, warehouse, self._tracking)

    def register(self, job: str, folder: Path, facts: TrainingFacts, metrics: Mapping[str, float]) -> VersionRef:
        """Store the files of ``folder`` as a new version of ``job`` and return it."""
        from mlflow.entities import Param

        manifest, content = manifest_of(folder), facts.as_json()
        digest = manifest.files[artifact_in(manifest.files)].sha256
        with self._client() as client:
            run = client.create_run(self._experiment(client, job), run_name=f"{job} until {facts.until}")
            client.log_artifacts(run.info.run_id, str(folder), artifact_path="version")
            client.log_batch(run.info.run_id, params=[Param(name, str(content[name])) for name in PARAMS])
            for name, value in metrics.items():
                client.log_metric(run.info.run_id, name, value)
            client.set_terminated(run.info.run_id)
            _ensure_model(client, job)
            source = f"{run.info.artifact_uri}/version"
            self._stored.record_new(job, source, manifest)
            tags = {"sha256": digest, "manifest_sha256": manifest.sha256, **tags_of(content)}
            version = client.create_model_version(job, source, run.info.run_id, tags=tags, await_creation_for=0)
        ref = VersionRef(job, int(version.version), digest, source)
        self._stored.give_number(ref)
        return ref

    def resolve(self, job: str, version: int) -> VersionRef:
        """Return version ``version`` of ``job``. Raises ``VersionMissing`` that lists the existing versions."""
        refs = self.versions(job)
        for ref in refs:
            if ref.version == version:
                return ref
        raise VersionMissing(
            f"model version {version} of {job}",
            found=f"versions {[ref.version for ref in refs]}",
            next_step=f"see `nightshift models {job}`",
        )

    def versions(self, job: str) -> list[VersionRef]:
        """Return all versions of a job, oldest first."""
        return self.tagged(job)

    def tagged(self, job: str, **facts: Any) -> list[VersionRef]:
        """Return the versions with these facts among ``TAGS``, oldest first, without reading their files.

        Their sha256 is the one that the warehouse recorded; that of the registry counts for versions of before only.
        """
        tags = tags_of(facts).items()
        with self._client() as client:
            versions = client.search_model_versions(f"name = '{job}'")
        digests = {int(version.version): version.tags.get("sha256", "") for version in versions}
        digests |= self._stored.digests(job) if versions else {}
        refs = [
            VersionRef(job, int(version.version), digests[int(version.version)], version.source)
            for version in versions
            if tags <= version.tags.items()
        ]
        return sorted(refs, key=lambda ref: ref.version)

    def set_alias(self, job: str, alias: str, version: int) -> None:
        """Point an alias (``champion``, ``challenger``) at a version."""
        with self._client() as client:
            client.set_registered_model_alias(job, alias, str(version))

    def drop_alias(self, job: str, alias: str, version: int) -> None:
        """Remove an alias from a version. Nothing happens when the alias points at another version."""
        if self.aliases(job).get(alias) == version:
            with self._client() as client:
                client.delete_registered_model_alias(job, alias)

    def attach(self, ref: VersionRef, name: str, content: str) -> None:
        """Add a text file to a version's files, or replace the one of that name. Registered files do not change."""
        self.replace(ref, {name: content.encode()}, f"{name} was attached")
        with self._client() as client:
            client.set_model_version_tag(ref.job, str(ref.version), name.partition(".")[0], f"version/{name}")

    def replace(self, ref: VersionRef, contents: Mapping[str, bytes], reason: str) -> None:
        """Replace files of a version, and record what they are now. See ``StoredFiles.replace``."""
        self._stored.replace(ref, contents, reason)

    def settle(self, ref: VersionRef, reason: str) -> None:
        """Record which files of a version are there after its replacement of some was interrupted."""
        self._stored.settle(ref, reason)

    def artifact_bytes(self, ref: VersionRef) -> int:
        """Return the size of a version's stored pipeline."""
        files = self.files(ref)
        return (files.folder / files.artifact).stat().st_size

    def aliases(self, job: str) -> dict[str, int]:
        """Return the version that each alias of a job points at."""
        with self._client() as client:
            models = client.search_registered_models(f"name = '{job}'")
            return {alias: int(number) for model in models for alias, number in model.aliases.items()}

    def size(self, ref: VersionRef) -> int:
        """Return the bytes of a version's files."""
        with self._client():
            return sum(sizes(ref.uri, self._uri()).values())

    def remove(self, ref: VersionRef) -> None:
        """Remove a version: its files except the facts, then its entry in the registry, then the facts. Metrics stay.

        After a crash before the entry is removed, the version is still listed with its facts and can be removed again
        (loading it raises ``ArtifactMismatch``). After a later crash a small file is left over.
        """
        with self._client() as client:
            names = set(sizes(ref.uri, self._uri())) - {FACTS}
            delete(ref.uri, self._uri(), sorted(names))
            client.delete_model_version(ref.job, str(ref.version))
            delete(ref.uri, self._uri(), [FACTS])
        self._stored.drop_copies(ref)

    def facts(self, ref: VersionRef) -> TrainingFacts:
        """Return the training facts stored with a version."""
        return facts_of(self.files(ref))

    def content(self, ref: VersionRef, name: str) -> dict[str, Any]:
        """Return a JSON file stored with a version, empty if it has no such file. Nothing is unpickled."""
        return self.files(ref).json(name)

    def categories(self, ref: VersionRef) -> dict[str, list[str]]:
        """Return the categories seen at training, by column. Nothing is unpickled."""
        return categories_of(self.content(ref, PROFILE))

    def table(self, ref: VersionRef, name: str) -> pa.Table | None:
        """Return a Parquet file stored with a version, or None if it has no such file."""
        files = self.files(ref)
        return files.table(name) if files.has(name) else None

    def load(self, ref: VersionRef, job: Job) -> ModelVersion:
        """Return a version, after a check of its files' sha256 and of its golden rows.

        Each sha256 is verified before the file is read. Every thread has a copy of its own, since a pipeline may hold
        state while it predicts, unless the version is scored without its pipeline. Raises ``ArtifactMismatch``,
        ``GoldenRowsMismatch``, ``DeclarationMismatch`` or ``RegistryUnavailable``.
        """
        files = self.files(ref)
        return loaded.version(
            files, job, tuple(seen_job(files, job, self._stored.accepted).features), Environments.of(self._settings)
        )

    def job_of(self, ref: VersionRef, job: Job) -> Job:
        """Return the job as a version sees it: with the features that it was trained with, in its order. Nothing is unpickled.

        Raises ``DeclarationMismatch`` when the job lacks one of them, or declares otherwise what the version was trained
        for, unless that was accepted.
        """
        return seen_job(self.files(ref), job, self._stored.accepted)

    def unused(self, ref: VersionRef, job: Job) -> list[str]:
        """Return the features of the job that a version was not trained with. Raises ``DeclarationMismatch``."""
        used = self.job_of(ref, job).features
        return [name for name in job.features if name not in used]

    def foreign_file(self, uri: str, tracking_url: str | None, folder: Path) -> tuple[Path, str]:
        """Return the file of a model of MLflow's, of this registry or another, and its format. See ``foreign``."""
        with self._tracking() as own:
            return foreign_file(uri, tracking_url or own, folder)

    def files(self, ref: VersionRef) -> VersionFiles:
        """Return the version's files, to be read. Raises ``ArtifactMismatch`` for a version that nobody recorded."""
        return self._stored.files(ref)

    def recorded(self, ref: VersionRef) -> bool:
        """Return whether the sha256 of each file of a version is on record. Those of versions of before are not."""
        return self._stored.manifest(ref) is not None

    def problems(self, ref: VersionRef) -> list[str]:
        """Return what is wrong with a version's files, reading all of them where they are."""
        return self._stored.problems(ref)

    def _local(self, ref: VersionRef) -> Path:
        return self.files(ref).folder

    def _uri(self) -> str:
        setting = self._settings.registry_url
        url = setting.get_secret_value().strip() if setting else embedded.url(self._settings.postgres_dir, "registry")
        return url if url.startswith(_SERVERS) else written(database_url(url, "NIGHTSHIFT_REGISTRY_URL"))

    @contextmanager
    def _tracking(self) -> Iterator[str]:
        with self._client():
            yield self._uri()

    @contextmanager
    def _client(self) -> Iterator[Any]:
        """Give an MLflow client. Its errors become ``RegistryUnavailable``."""
        logging.getLogger("alembic").setLevel(logging.WARNING)
        from mlflow.exceptions import MlflowException
        from mlflow.tracking import MlflowClient

        try:
            yield _client_for(MlflowClient, self._uri())
        except MlflowException as error:
            raise self._unavailable(error) from None  # a log would print the cause, and with it the URL perhaps
        except NightshiftError:
            raise
        except Exception as error:  # noqa: BLE001 - MLflow lets the errors of its libraries through: named
            raise self._unavailable(error) from None

    def _unavailable(self, error: Exception) -> NightshiftError:
        """Return the error of a registry that does not answer, or whose store's library is not installed."""
        scheme = urlsplit(self._settings.artifacts_root).scheme
        if isinstance(error, ImportError) and scheme in LIBRARIES:  # MLflow reaches a store by a library of its own
            return missing_library("NIGHTSHIFT_ARTIFACTS_URL", scheme, str(error))
        reason = str(error) if type(error).__name__ == "MlflowException" else f"{type(error).__name__}: {error}"
        if scheme in LIBRARIES and (denied(error) or bucket_missing(error)):
            advice = f"check NIGHTSHIFT_ARTIFACTS_URL and the credentials: {credentials_of(scheme)}"
            return SettingsError("model files", found=reason, next_step=advice)
        return _unanswered(reason)

    def _experiment(self, client: Any, job: str) -> str:
        experiment = client.get_experiment_by_name(job)
        if experiment is not None:
            return str(experiment.experiment_id)
        server = self._uri().startswith("http")
        return str(client.create_experiment(job, None if server else self._folder(job)))

    def _folder(self, job: str) -> str:
        """Return where a job's model files lie. Raises ``SettingsError`` for a store that MLflow has no word for."""
        root = self._settings.artifacts_root.rstrip("/")
        scheme = urlsplit(root).scheme
        if scheme in LIBRARIES and scheme not in _STORES:
            raise SettingsError(
                "NIGHTSHIFT_ARTIFACTS_URL",
                found=f"a URL that begins with {scheme}://",
                expected="a folder, or s3://…, gs://…, wasbs://container@account.blob.core.windows.net/…",
                next_step="correct the variable; the lake's URL may have another scheme",
            )
        return f"{root}/{job}"


def _unanswered(reason: str) -> NightshiftError:
    """Return the error of a registry that does not answer, or whose URL is wrong."""
    if lasting(reason):
        return SettingsError("model registry", found=reason, next_step="correct NIGHTSHIFT_REGISTRY_URL")
    return RegistryUnavailable("model registry", found=reason, next_step="try again once it answers")


@lru_cache(maxsize=4)
def _client_for(kind: Any, uri: str) -> Any:
    if not uri.startswith(_SERVERS):
        require_answer(uri)  # MLflow tries for minutes, whatever the reason
    return kind(tracking_uri=uri, registry_uri=uri)


def _ensure_model(client: Any, job: str) -> None:
    if not client.search_registered_models(f"name = '{job}'"):
        client.create_registered_model(job)
