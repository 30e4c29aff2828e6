"""One night: extracting, scoring and publishing it, rescoring it, and comparing runs."""

from scoring.night.begun import as_begun
from scoring.night.champion import champion_ref, champion_version, no_evidence, promoted_ref
from scoring.night.changes import Change, Changes, compare_runs
from scoring.night.difference import Difference, two_nights, two_runs
from scoring.night.export import KEPT_FEWER, export_csv, export_file, published_runs
from scoring.night.extract import extract
from scoring.night.interval_level import adapted
from scoring.night.publish import discard, publish, refresh_lake, release, unpublish
from scoring.night.reasons import has_reasons, reasons_object, reasons_problem
from scoring.night.request import NightRequest
from scoring.night.rescore import Rescored, rescore
from scoring.night.run import run_night
from scoring.night.score import score_chunk
from scoring.night.shards import score_chunks
from scoring.night.shown import INTERVAL_FACT
from scoring.night.staging import left_stages, over, unstage

__all__ = [
    "INTERVAL_FACT",
    "KEPT_FEWER",
    "Change",
    "Changes",
    "Difference",
    "NightRequest",
    "Rescored",
    "adapted",
    "as_begun",
    "champion_ref",
    "champion_version",
    "compare_runs",
    "discard",
    "export_csv",
    "export_file",
    "extract",
    "has_reasons",
    "left_stages",
    "no_evidence",
    "over",
    "promoted_ref",
    "publish",
    "published_runs",
    "reasons_object",
    "reasons_problem",
    "refresh_lake",
    "release",
    "rescore",
    "run_night",
    "score_chunk",
    "score_chunks",
    "two_nights",
    "two_runs",
    "unpublish",
    "unstage",
]
