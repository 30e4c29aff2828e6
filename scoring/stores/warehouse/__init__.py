"""The warehouse: schema, bulk load, run ledger, pointer flip, analyst views. PostgreSQL, embedded or a server."""

from scoring.stores.warehouse import (
    erasures,
    ledger,
    liveness,
    manifests,
    monitoring,
    overview,
    promotions,
    pruning,
    refits,
    retrainings,
    shadows,
)
from scoring.stores.warehouse.alerts import claim_alert, withdraw_alert
from scoring.stores.warehouse.connection import Warehouse, open_warehouse, require_answer
from scoring.stores.warehouse.evaluation import (
    Block,
    ComparedVersion,
    Evaluation,
    Gain,
    Holdout,
    Metrics,
    NightLoss,
    NightLosses,
    Pooled,
    Segment,
    SinceChange,
    growth,
)
from scoring.stores.warehouse.liveness import abandon_dead, alone, held, seen, worked_on
from scoring.stores.warehouse.load import count_rows, load, load_shadow, remove_rows, stamped
from scoring.stores.warehouse.manifests import FileRecord, Manifest
from scoring.stores.warehouse.promotions import Promotion, champion_at, in_effect, previous_champion
from scoring.stores.warehouse.records import Disagreement, Retraining, Run, Shadow, ShadowLosses, ShadowNight
from scoring.stores.warehouse.refits import RefitLoss
from scoring.stores.warehouse.results import ColumnNight, ColumnVerdict, Decided, Measured, NightVerdict, TriedNight
from scoring.stores.warehouse.schema import describe_prediction, ensure_job, mark_retired, migrate
from scoring.stores.warehouse.span import Row, Span
from scoring.stores.warehouse.texts import replace_texts

__all__ = [
    "Block",
    "ColumnNight",
    "ColumnVerdict",
    "ComparedVersion",
    "Decided",
    "Disagreement",
    "Evaluation",
    "FileRecord",
    "Gain",
    "Holdout",
    "Manifest",
    "Measured",
    "Metrics",
    "NightLoss",
    "NightLosses",
    "NightVerdict",
    "Pooled",
    "Promotion",
    "RefitLoss",
    "Retraining",
    "Row",
    "Run",
    "Segment",
    "Shadow",
    "ShadowLosses",
    "ShadowNight",
    "SinceChange",
    "Span",
    "TriedNight",
    "Warehouse",
    "abandon_dead",
    "alone",
    "champion_at",
    "claim_alert",
    "count_rows",
    "describe_prediction",
    "ensure_job",
    "erasures",
    "growth",
    "held",
    "in_effect",
    "ledger",
    "liveness",
    "load",
    "load_shadow",
    "manifests",
    "mark_retired",
    "migrate",
    "monitoring",
    "open_warehouse",
    "overview",
    "previous_champion",
    "promotions",
    "pruning",
    "refits",
    "remove_rows",
    "replace_texts",
    "require_answer",
    "retrainings",
    "seen",
    "shadows",
    "stamped",
    "withdraw_alert",
    "worked_on",
]
