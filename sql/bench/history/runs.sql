-- what:       a run in the ledger for every night of a span, as if each had been scored and published
-- parameters: job, first, last, rows
insert into scoring_runs (
    run_id, job, night, interval_start, interval_end, attempt, origin, status, stage, model_version, model_sha256, job_sha256,
    sql_sha256, code_version, library_versions, rows_loaded, started_at, finished_at
)
select
    :job || ' ' || s.day::date,
    :job,
    s.day::date,
    s.day,
    s.day + interval '1 day',
    1,
    'bench',
    'published',
    'done',
    1,
    '',
    '',
    '',
    '',
    '{}',
    :rows,
    s.day + interval '1 day',
    s.day + interval '1 day'
from generate_series(cast(:first as timestamptz), cast(:last as timestamptz), interval '1 day') as s (day)
order by s.day
