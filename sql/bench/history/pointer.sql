-- what:       the pointer at every run of a span
-- parameters: job, first, last
insert into published_nights (job, night, run_id, run_number, model_version, rows, scored_at, published_at)
select r.job, r.night, r.run_id, r.run_number, r.model_version, r.rows_loaded, r.started_at, r.finished_at
from scoring_runs as r
where r.job = :job and r.status = 'published' and r.night between cast(:first as date) and cast(:last as date)
