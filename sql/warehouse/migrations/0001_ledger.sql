-- what:  the tables that say which nights exist, which run each one shows, and which model version was champion when
-- grain: see the comment of each table
-- notes: applied once, in one transaction, by `nightshift migrate`; several statements, as migrations have

do $$
begin
    if not exists (select from pg_roles where rolname = 'nightshift_writer') then
        create role nightshift_writer nologin;
    end if;
    if not exists (select from pg_roles where rolname = 'nightshift_analyst') then
        create role nightshift_analyst nologin;
    end if;
end
$$;

create table jobs (
    job text primary key,
    description text not null,
    owner text not null,
    timezone text not null,
    first_night date not null,
    last_night date
);
comment on table jobs is 'One row per job file that was ever used, as last read';
comment on column jobs.last_night is 'Last night the schedule covers; null for no end';

create table scoring_runs (
    run_id text primary key,
    run_number bigint generated always as identity unique,
    job text not null references jobs,
    night date not null,
    interval_start timestamptz not null,
    interval_end timestamptz not null,
    attempt integer not null,
    origin text not null,
    airflow_run_id text,
    status text not null check (
        status in ('running', 'published', 'superseded', 'held', 'discarded', 'failed', 'skipped', 'abandoned')
    ),
    stage text not null check (stage in ('extract', 'score', 'publish', 'done')),
    reason text,
    model_version integer not null,
    model_sha256 text not null,
    job_sha256 text not null,
    sql_sha256 text not null,
    snapshot_hash text,
    predictions_hash text,
    code_version text not null,
    library_versions jsonb not null,
    chunks integer,
    rows_extracted bigint,
    rows_quarantined bigint,
    rows_scored bigint,
    rows_loaded bigint,
    quarantine_reasons jsonb,
    unknown_categories jsonb,
    seconds_extract double precision,
    seconds_score double precision,
    seconds_publish double precision,
    rows_per_second double precision,
    started_at timestamptz not null,
    finished_at timestamptz
);
create index scoring_runs_night on scoring_runs (job, night, started_at);
comment on table scoring_runs is 'The run ledger: one row per attempt to score a night, forever';
comment on column scoring_runs.run_number is 'Stands for run_id in the history tables, where it saves half the room';
comment on column scoring_runs.attempt is 'Counts the attempts at this job and night, from 1';
comment on column scoring_runs.origin is 'scheduled, backfill, manual (Airflow) or cli';
comment on column scoring_runs.model_sha256 is 'sha256 of the artifact that was pinned when the run began';
comment on column scoring_runs.snapshot_hash is 'Hash of the feature snapshot in any row order; equal means the model saw the same rows';
comment on column scoring_runs.predictions_hash is 'Hash of keys and predictions in any row order; equal means the same result';
comment on column scoring_runs.seconds_score is 'Seconds spent scoring, summed over chunks (several may run side by side)';
comment on column scoring_runs.seconds_publish is 'Seconds spent loading and comparing counts';
comment on column scoring_runs.rows_per_second is 'Rows extracted per second from the start of the run to the end of loading, waiting between tasks included';

create table published_nights (
    job text not null references jobs,
    night date not null,
    run_id text not null references scoring_runs,
    run_number bigint not null,
    model_version integer not null,
    rows bigint not null,
    scored_at timestamptz not null,
    published_at timestamptz not null,
    primary key (job, night)
);
comment on table published_nights is 'The pointer: which run of a night the views show. Publishing is one update here';

create table publications (
    job text not null,
    night date not null,
    run_id text not null references scoring_runs,
    visible_from timestamptz not null,
    visible_until timestamptz,
    primary key (job, night, visible_from)
);
comment on table publications is 'Every value the pointer ever had; visible_until is null for the current one';

create table model_promotions (
    promotion_id bigint generated always as identity primary key,
    job text not null references jobs,
    model_version integer not null,
    effective_from date not null,
    kind text not null check (kind in ('promotion', 'rollback')),
    reason text not null,
    promoted_by text not null,
    promoted_at timestamptz not null
);
create index model_promotions_night on model_promotions (job, effective_from, promotion_id);
comment on table model_promotions is 'Champion at night N: the row with the latest effective_from not after N, the newest of equals';

create view scoring_status as
select
    j.job,
    j.owner,
    expected.night as expected_night,
    exists (
        select from published_nights as e where e.job = j.job and e.night = expected.night
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
    l.reason as last_run_reason
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
comment on view scoring_status is 'Is last night there, complete and fresh? One row per job';

grant usage on schema public to nightshift_writer, nightshift_analyst;
grant select, insert, update, delete on all tables in schema public to nightshift_writer;
grant select on jobs, scoring_runs, published_nights, publications, model_promotions, scoring_status to nightshift_analyst;
