"""Files of a run that were cut off, emptied, or lost a bit: named, with a way out that works, before anything is shown."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from drift.watch import watch
from scoring.errors import LakeFileBroken, LakeFileMissing
from scoring.night.extract import extract
from scoring.night.publish import publish, refresh_lake
from scoring.night.request import NightRequest
from scoring.night.score import score_chunk
from scoring.stores.run_folder import RunFolder
from scoring.stores.warehouse import ledger
from scoring.upkeep.verify import verify
from tests.conftest import Toy
from tests.support.faults import require_healed
from tests.support.runs import expected, shown
from tests.support.toy import NIGHT

AIRFLOW_RUN = "scheduled"
CHUNKS = range(4)


def cut_off(content: bytes) -> bytes:
    return content[: len(content) // 2]


def emptied(content: bytes) -> bytes:
    return b""


def zeroed(content: bytes) -> bytes:
    return bytes(len(content))


def bit_in_the_middle(content: bytes) -> bytes:
    middle = len(content) * 2 // 5  # among the rows
    return content[:middle] + bytes([content[middle] ^ 0x80]) + content[middle + 1 :]


def bit_in_a_name(content: bytes) -> bytes:
    """Change the name of a column, in the footer of Parquet, which has no checksum, or of a key of JSON."""
    footer = len(content) - 8 - int.from_bytes(content[-8:-4], "little") if content.startswith(b"PAR1") else 0
    name = next(name for name in (b"probability", b"kind", b"model_uri", b"nulls", b"rows") if name in content)
    at = content.find(name, footer)
    return content[:at] + bytes([content[at] ^ 0x04]) + content[at + 1 :]


DAMAGES = (
    *(pytest.param(damage, marks=pytest.mark.nightly) for damage in (cut_off, emptied, zeroed, bit_in_the_middle)),
    bit_in_a_name,
)


def start(toy: Toy) -> RunFolder:
    """Extract the night as a task of Airflow does, anew for the same run of Airflow."""
    begun = extract(toy.work, NightRequest(NIGHT, toy.stores.clock(), "airflow", airflow_run_id=AIRFLOW_RUN))
    return RunFolder(toy.stores.lake, ledger.get(toy.stores.warehouse, begun.run_id))


def score(toy: Toy, folder: RunFolder) -> None:
    for chunk in CHUNKS:
        score_chunk(toy.work, folder.run.run_id, chunk)


def spoil(path: str, damage: Callable[[bytes], bytes]) -> None:
    Path(path).write_bytes(damage(Path(path).read_bytes()))


def refused(do: Callable[[], object], path: str, task: str) -> None:
    """Assert that something is refused because of a file, with the task that writes it and the command for the night."""
    way_out = (
        rf"Next: clear the task `{task}` of the run, or score the night again: nightshift run toy_\d+ --night {NIGHT}\."
    )
    with pytest.raises(
        (LakeFileBroken, LakeFileMissing), match=rf"^lake, {path}: found [\s\S]+; expected .+ {way_out}"
    ):
        do()


@pytest.mark.nightly
@pytest.mark.parametrize("damage", DAMAGES)
def test_features_that_are_broken_are_extracted_again(toy: Toy, damage: Callable[[bytes], bytes]) -> None:
    folder = start(toy)
    spoil(folder.part("features", 1), damage)
    refused(lambda: score(toy, folder), folder.part("features", 1), "extract")
    again = start(toy)
    score(toy, again)
    publish(toy.work, again.run.run_id)
    assert shown(toy) == expected(toy)
    require_healed(toy)


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("what", ["predictions", "summary"])
def test_result_that_is_broken_is_scored_again(toy: Toy, what: str, damage: Callable[[bytes], bytes]) -> None:
    folder = start(toy)
    score(toy, folder)
    path = folder.summary(1) if what == "summary" else folder.part("predictions", 1)
    spoil(path, damage)
    refused(lambda: publish(toy.work, folder.run.run_id), path, "score")
    assert shown(toy) == []
    score(toy, folder)
    publish(toy.work, folder.run.run_id)
    assert shown(toy) == expected(toy)
    require_healed(toy)


@pytest.mark.nightly
@pytest.mark.parametrize("damage", DAMAGES)
def test_pin_that_is_broken_is_written_by_the_next_extraction(toy: Toy, damage: Callable[[bytes], bytes]) -> None:
    folder = start(toy)
    spoil(folder.pin, damage)
    refused(lambda: score(toy, folder), folder.pin, "extract")
    again = start(toy)
    score(toy, again)
    spoil(again.pin, damage)
    refused(lambda: publish(toy.work, again.run.run_id), again.pin, "extract")
    assert shown(toy) == []
    require_healed(toy)


@pytest.mark.parametrize("damage", DAMAGES)
def test_profile_that_is_broken_is_scored_again(toy: Toy, damage: Callable[[bytes], bytes]) -> None:
    folder = start(toy)
    score(toy, folder)
    publish(toy.work, folder.run.run_id)
    spoil(folder.profile(1), damage)
    refused(lambda: watch(toy.work, folder.run.run_id, None), folder.profile(1), "score")
    score(toy, folder)
    watch(toy.work, folder.run.run_id, None)
    assert shown(toy) == expected(toy)
    require_healed(toy)


@pytest.mark.nightly
@pytest.mark.parametrize("damage", DAMAGES)
def test_current_object_that_is_broken_is_written_anew(toy: Toy, damage: Callable[[bytes], bytes]) -> None:
    folder = start(toy)
    score(toy, folder)
    publish(toy.work, folder.run.run_id)
    path = toy.stores.lake.current(toy.job.name, NIGHT)
    spoil(path, damage)
    (finding,) = verify(toy.work)
    assert "lake object" in finding.problem
    assert [finding.repaired for finding in verify(toy.work, repair=True)] == [True]
    assert verify(toy.work) == []
    require_healed(toy)


@pytest.mark.nightly
@pytest.mark.parametrize("damage", DAMAGES)
def test_run_whose_predictions_broke_after_the_flip_is_replaced(toy: Toy, damage: Callable[[bytes], bytes]) -> None:
    folder = start(toy)
    score(toy, folder)
    publish(toy.work, folder.run.run_id)
    spoil(folder.part("predictions", 1), damage)
    refused(lambda: refresh_lake(toy.work, NIGHT, anew=True), folder.part("predictions", 1), "score")
    assert verify(toy.work) == [], "the object of the night is still whole"
    require_healed(toy)
