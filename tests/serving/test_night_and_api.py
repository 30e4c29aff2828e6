"""What a night publishes, and what is answered on demand, is the same."""

from __future__ import annotations

import pyarrow as pa

from scoring.stores import RunFolder
from scoring.stores.warehouse import ledger
from tests.conftest import Toy
from tests.support.living import score
from tests.support.serving import Serve, as_json
from tests.support.toy import NIGHT


def test_published_night_sent_to_the_api_equals_the_table_bit_for_bit(toy: Toy, serve: Serve) -> None:
    run_id = score(toy, NIGHT)
    folder = RunFolder(toy.work.lake, ledger.get(toy.work.warehouse, run_id))
    parts = [toy.work.lake.table(folder.part("features", number)) for number in folder.chunks]
    published = pa.concat_tables(toy.work.lake.table(folder.part("predictions", number)) for number in folder.chunks)
    client, _ = serve()
    rows = as_json(pa.concat_tables(parts))
    whole = client.post(f"/v1/jobs/{toy.job.name}/predictions", json={"rows": rows})
    assert whole.status_code == 200, whole.text
    single = [client.post(f"/v1/jobs/{toy.job.name}/predictions", json={"rows": [row]}).json() for row in rows[:20]]
    answers = whole.json()["predictions"]
    assert [one["predictions"][0] for one in single] == answers[:20]
    assert [row["prediction"] for row in answers] == published.column("prediction").to_pylist()
    assert [row["probability"] for row in answers] == published.column("probability").to_pylist()
    assert len(answers) == published.num_rows > 100
