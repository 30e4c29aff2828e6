"""The description of a job's requests and answers for OpenAPI, generated from its key and features."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from typing import Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, create_model

from scoring import __version__
from scoring.job import BINARY, MULTICLASS, REGRESSION, SCORE, Feature, Job, Task
from serving.published import named

MOST_ROWS = 10_000
_END = "End of the interval that is to hold the outcome."
_KINDS: dict[str, Any] = {
    "float": float,
    "int": int,
    "bool": bool,
    "category": str,
    "string": str,
    "datetime": AwareDatetime,
    "date": date,
}
_REASONS = {
    "name": "reasons",
    "in": "query",
    "schema": {"type": "integer", "minimum": 1, "maximum": 100},
    "description": "Contributions to give with each prediction: of so many features, those that add or take away most.",
}
_OUTCOMES: dict[Task, type] = {BINARY: bool, MULTICLASS: str, REGRESSION: float, SCORE: float}
"""The type of a prediction in JSON."""
_KEY = "Key: any value of the type; with it the outcome is found later, and the same key is always on the same side."


class _Contribution(BaseModel):
    """What a feature adds to the margin of a prediction, compared with the average row."""

    feature: str
    value: str | None = Field(description="Its value as text; hidden if it is sensitive.")
    contribution: float


def openapi(jobs: Iterable[Job], secured: bool) -> dict[str, Any]:
    """Return the description of every request that can be made."""
    paths: dict[str, Any] = {}
    schemas: dict[str, Any] = {}
    for job in jobs:
        schemas |= _schemas(job)
        paths[f"/v1/jobs/{job.name}/predictions"] = {"post": _scoring(job)}
        paths[f"/v1/jobs/{job.name}/predictions/{named(list(job.key))}"] = {"get": _published(job)}
    description: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {"title": "Nightshift", "version": __version__, "description": "Predictions on demand."},
        "paths": paths,
        "components": {"schemas": schemas},
    }
    if secured:
        description["components"]["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
        description["security"] = [{"key": []}]
    return description


def _scoring(job: Job) -> dict[str, Any]:
    answers = {
        "200": "At least one row was scored; each other one has its reasons",
        "400": "The body is no JSON",
        "401": "No key, or one that is not known",
        "403": "A key for other jobs",
        "413": "A body that is too large",
        "415": "Another content type than application/json, or an encoding",
        "422": "Not 1 to 10,000 rows, or none of them keeps the contract",
        "429": "Too many requests",
        "503": "No version answers yet, or not in time",
    }
    return {
        "summary": f"Score rows with the champion of {job.name}",
        "description": job.description,
        "operationId": f"predict_{job.name}",
        "parameters": [_REASONS],
        "requestBody": {"required": True, "content": _json(f"{job.name}_request")},
        "responses": {
            status: {
                "description": text,
                **({"content": _json(f"{job.name}_answer")} if status in ("200", "422") else {}),
            }
            for status, text in answers.items()
        },
    }


def _json(schema: str) -> dict[str, Any]:
    return {"application/json": {"schema": {"$ref": f"#/components/schemas/{schema}"}}}


def _published(job: Job) -> dict[str, Any]:
    parameters = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}, "description": f"Key, {kind}"}
        for name, kind in job.key.items()
    ]
    return {
        "summary": f"The published prediction of a key of {job.name}, of the newest night that has it",
        "operationId": f"published_{job.name}",
        "parameters": parameters,
        "responses": {"200": {"description": "The row"}, "404": {"description": "No published night has the key"}},
    }


def _schemas(job: Job) -> dict[str, Any]:
    schemas: dict[str, Any] = {}
    for name, model in ((f"{job.name}_request", request_model(job)), (f"{job.name}_answer", answer_model(job))):
        schema = model.model_json_schema(ref_template="#/components/schemas/{model}")
        schemas |= schema.pop("$defs", {})
        schemas[name] = schema
    return schemas


def request_model(job: Job) -> type[BaseModel]:
    """Return the model of a request of the job: rows with every key and feature, null where a feature may be."""
    fields: dict[str, Any] = {name: (_KINDS[kind], Field(description=_KEY)) for name, kind in job.key.items()}
    fields |= {name: _field(feature) for name, feature in job.features.items() if name not in job.key}
    row = create_model(f"{job.name}_row", __config__=ConfigDict(extra="ignore"), **fields)
    rows = Field(
        min_length=1, max_length=MOST_ROWS, description="Rows; the answer has one prediction for each, in order."
    )
    return create_model(f"{job.name}_request", rows=(list[row], rows))


def _field(feature: Feature) -> tuple[Any, Any]:
    kind = _KINDS[feature.type]
    if feature.allowed is not None:
        kind = Literal[tuple(feature.allowed)]
    words = "Other categories than at training are refused." if feature.unknown == "quarantine" else None
    limits: dict[str, Any] = {"ge": feature.min, "le": feature.max} if feature.type in ("float", "int") else {}
    return (kind | None if feature.nullable else kind, Field(description=words, **limits))


def answer_model(job: Job) -> type[BaseModel]:
    """Return the model of an answer of the job."""
    kind = _OUTCOMES[job.task]
    chances = {name: (float, Field(default=None, ge=0, le=1)) for name in job.probability_columns}
    scored: dict[str, Any] = {
        "prediction": (kind, Field(default=None, description=job.description)),
        **chances,
        **{name: (float | None, Field(default=None, description=_END)) for name in job.interval_columns},
        "threshold": (
            float | None,
            Field(default=None, description="Probability from which on the prediction is true."),
        ),
        "model_version": (int, Field(default=None, description="The version that scored the row.")),
        "reasons": (
            list[str],
            Field(default=None, description="Of a row that was not scored: column:rule, as in quarantine."),
        ),
    }
    scored["contributions"] = (
        list[_Contribution],
        Field(default=None, description="With ?reasons=3: the three features that add or take away most."),
    )
    row = create_model(f"{job.name}_prediction", **scored)
    return create_model(
        f"{job.name}_answer",
        request_id=(str, ...),
        job=(str, ...),
        model_version=(int, ...),
        predictions=(list[row], ...),
    )
