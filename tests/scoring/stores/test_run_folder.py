"""A run's folder: the names of its files, the version that it is pinned to, files that lack what is needed."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from scoring.errors import LakeFileBroken, LakeFileMissing
from scoring.night import NightRequest, extract, score_chunk
from scoring.rows import Summary
from scoring.stores import RunFolder, ScoredChunk
from scoring.stores.warehouse import ledger
from tests.conftest import Toy
from tests.support.toy import NIGHT


@pytest.fixture
def extracted(toy: Toy) -> RunFolder:
    """The folder of a run whose features are on the lake, of which nothing is scored."""
    done = extract(toy.work, NightRequest(NIGHT, datetime.now(UTC), "test"))
    return RunFolder(toy.stores.lake, ledger.get(toy.stores.warehouse, done.run_id))


def test_names_of_the_files_are_those_of_every_run_before(extracted: RunFolder) -> None:
    folder = extracted.lake.run_folder(extracted.run.job, NIGHT, extracted.run.run_id)
    assert extracted.path == folder
    assert extracted.part("features", 7) == f"{folder}/features-00007.parquet"
    assert extracted.part("quarantine", 7) == f"{folder}/quarantine-00007.parquet"
    assert extracted.part("predictions", 12_345) == f"{folder}/predictions-12345.parquet"
    assert extracted.shadow_part(3, 7) == f"{folder}/shadow-3-00007.parquet"
    assert extracted.summary(7) == f"{folder}/summary-00007.json"
    assert extracted.profile(7) == f"{folder}/profile-00007.json"
    assert extracted.pin == f"{folder}/run.json"


def test_version_ref_is_the_version_that_the_run_was_pinned_to(toy: Toy, extracted: RunFolder) -> None:
    assert extracted.version_ref() == toy.stores.registry.resolve(toy.job.name, 1)


def test_a_pin_without_the_versions_place_is_broken(toy: Toy, extracted: RunFolder) -> None:
    toy.stores.lake.write_json(extracted.pin, {"run_id": "r"})
    with pytest.raises(LakeFileBroken) as caught:
        extracted.version_ref()
    assert "run.json: found keys ['run_id']; expected a JSON file with 'model_uri'." in str(caught.value)
    assert "Next: clear the task `extract`" in str(caught.value)


def test_a_summary_without_its_seconds_is_broken(toy: Toy, extracted: RunFolder) -> None:
    for number in extracted.chunks:
        score_chunk(toy.work, extracted.run.run_id, number)
    toy.stores.lake.write_json(extracted.summary(2), {"rows": 1, "summary": {}})
    with pytest.raises(LakeFileBroken, match=r"found keys \['rows', 'summary'\]; expected a JSON file with 'seconds'"):
        extracted.scored()


def test_summary_written_before_is_read(toy: Toy, extracted: RunFolder) -> None:
    for number in extracted.chunks:
        content = '{"rows": 64, "seconds": 0.5, "summary": {"rows": 64, "nulls": 0, "total": 32.0, "squares": 20.0}}'
        toy.stores.lake.write_text(extracted.summary(number), content)
    assert extracted.scored() == [ScoredChunk(64, Summary(64, 0, 32.0, 20.0), 0.5)] * len(extracted.chunks)


def test_chunks_that_lack_a_summary_or_a_profile_are_named(toy: Toy, extracted: RunFolder) -> None:
    assert extracted.unscored() == list(extracted.chunks)
    score_chunk(toy.work, extracted.run.run_id, 1)
    assert extracted.unscored() == [0, 2, 3]
    assert extracted.unprofiled() == [0, 2, 3]


def test_remove_takes_every_file(toy: Toy, extracted: RunFolder) -> None:
    extracted.remove()
    assert not toy.stores.lake.exists(extracted.path)
    with pytest.raises(LakeFileMissing):
        extracted.version_ref()
