-- what:  jobs that are retired: since when and why; no night of theirs is expected any more
-- grain: see the comment of each table
-- notes: applied once, in one transaction, by `nightshift migrate`; several statements, as migrations have

alter table jobs add column retired_at timestamptz, add column retired_reason text;
comment on column jobs.retired_at is 'When the job was retired; null while its nights are expected, and again once it is used anew';
comment on column jobs.retired_reason is 'Why it was retired, as given';

create or replace view scoring_status as
select
    j.job,
    j.owner,
    expected.night as expected_night,
    exists (
        select
        from published_nights as e
        join scoring_runs as x on x.run_id = e.run_id
        where e.job = j.job and e.night = expected.night and not x.provisional
    ) as expected_night_published,
    p.night as latest_night,
    p.rows as latest_rows,
    r.rows_quarantined as latest_rows_quarantined,
    p.model_version,
    p.run_id,
    p.published_at,
    (select count(*) from published_nights as n where n.job = j.job) as nights_published,
    (select count(*) from scoring_runs as h where h.job = j.job and h.status = 'held') as nights_held,
    l.night as last_run_night,
    l.status as last_run_status,
    l.reason as last_run_reason,
    r.provisional as latest_provisional,
    j.retired_at,
    j.retired_reason
from jobs as j
cross join lateral (
    select case
        when j.retired_at is null then least(j.last_night, (now() at time zone j.timezone)::date - 1)
    end as night
) as expected
left join lateral (
    select * from published_nights as n where n.job = j.job order by n.night desc limit 1
) as p on true
left join scoring_runs as r on r.run_id = p.run_id
left join lateral (
    select * from scoring_runs as s where s.job = j.job order by s.started_at desc limit 1
) as l on true;
comment on view scoring_status is 'Is last night there, complete and fresh? One row per job; nothing is expected of a retired one';
