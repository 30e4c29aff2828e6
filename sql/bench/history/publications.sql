-- what:       when each run of a span was published: it is visible still
-- parameters: job, first, last
insert into publications (job, night, run_id, visible_from)
select r.job, r.night, r.run_id, r.finished_at
from scoring_runs as r
where r.job = :job and r.status = 'published' and r.night between cast(:first as date) and cast(:last as date)
