-- what:  nights that were scored before they were over, publications taken back, and signs of life of runs
-- grain: see the comment of each column
-- notes: applied once, in one transaction, by `nightshift migrate`; several statements, as migrations have

alter table scoring_runs
    add column provisional boolean not null default false,
    add column seen_at timestamptz;
comment on column scoring_runs.provisional is 'The run began before its night was over: shown, and used for nothing else';
comment on column scoring_runs.seen_at is 'Last sign of life of what works on the run; null in rows older than the column';
update scoring_runs set provisional = true where started_at < interval_end;

alter table scoring_runs drop constraint scoring_runs_status_check;
alter table scoring_runs add constraint scoring_runs_status_check check (
    status in (
        'running', 'published', 'superseded', 'held', 'discarded', 'failed', 'skipped', 'abandoned', 'unpublished'
    )
);

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
    r.provisional as latest_provisional
from jobs as j
cross join lateral (
    select least(j.last_night, (now() at time zone j.timezone)::date - 1) as night
) as expected
left join lateral (
    select * from published_nights as n where n.job = j.job order by n.night desc limit 1
) as p on true
left join scoring_runs as r on r.run_id = p.run_id
left join lateral (
    select * from scoring_runs as s where s.job = j.job order by s.started_at desc limit 1
) as l on true;

create or replace view performance_by_night as
select distinct on (r.job, r.night)
    r.job,
    r.night,
    r.known_at,
    r.rows_published,
    r.rows_labelled,
    r.share_labelled,
    r.metrics,
    r.rolling,
    r.model_version,
    r.run_id,
    r.measured_at
from performance_results as r
join published_nights as p on p.job = r.job and p.night = r.night
join scoring_runs as s on s.run_id = r.run_id
where s.status in ('published', 'superseded') and not s.provisional
order by r.job, r.night, r.known_at desc;
comment on view performance_by_night is 'Measured performance of every published night by the newest labels; one row per job and night';
