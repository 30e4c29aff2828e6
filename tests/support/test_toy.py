"""The champion that tests begin with is a copy; it is the one that a training leaves."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from scoring.stores.registry.version import FACTS
from scoring.stores.warehouse import promotions
from tests.conftest import Toy
from tests.support.toy import train_champion


def files_of(uri: str) -> dict[str, Any]:
    """Return the content of a version's files, without the moment of the training and what was timed."""
    content: dict[str, Any] = {path.name: path.read_bytes() for path in Path(uri).iterdir()}
    return {
        **content,
        FACTS: {**json.loads(content[FACTS]), "trained_at": None, "seconds": None, "evaluator_speedup": None},
    }


def test_copied_champion_is_the_one_that_training_leaves(toy: Toy) -> None:
    (copied,) = toy.stores.registry.versions(toy.job.name)
    trained = train_champion(toy.work).ref
    assert (copied.sha256, files_of(copied.uri)) == (trained.sha256, files_of(trained.uri))
    first, second = promotions.history_of(toy.stores.warehouse, toy.job.name)
    changed = {"model_version", "model_uri", "promoted_at"}
    assert {name for name, value in vars(first).items() if vars(second)[name] != value} == changed
    (snapshot,) = Path(toy.stores.lake.snapshot_folder(toy.job.name, "")).iterdir()
    assert snapshot.name == toy.stores.registry.facts(copied).snapshot
    assert {path.name for path in snapshot.iterdir()} == {"rows.parquet", "snapshot.json"}
