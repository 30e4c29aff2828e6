-- what:  what monitoring found: profiles and verdicts of nights, measured performance, decisions, alerts sent
-- grain: see the comment of each table
-- notes: applied once, in one transaction, by `nightshift migrate`; several statements, as migrations have

create table night_profiles (
    run_id text primary key references scoring_runs,
    job text not null references jobs,
    night date not null,
    model_version integer not null,
    rows bigint not null,
    profile jsonb not null
);
create index night_profiles_night on night_profiles (job, model_version, night);
comment on table night_profiles is 'Counts of every column of a scored night on the bins of its model version; all rows, no values';

create table drift_results (
    run_id text primary key references scoring_runs,
    job text not null references jobs,
    night date not null,
    model_version integer not null,
    verdict text not null check (verdict in ('ok', 'warn', 'alert')),
    reasons jsonb not null,
    faults jsonb not null,
    score double precision not null,
    score_limit double precision not null,
    drifted_weight double precision not null,
    drifted_columns jsonb not null,
    baseline_nights integer not null,
    baseline_first date,
    rows bigint not null,
    estimate jsonb,
    report text,
    report_error text,
    evaluated_at timestamptz not null
);
create index drift_results_night on drift_results (job, night);
comment on table drift_results is 'What a scored night''s drift means; one row per run, replaced when it is looked at again';
comment on column drift_results.faults is 'What is broken, not merely different: such a night is never trained on without a look';
comment on column drift_results.score is 'Largest ratio of a monitored column: 1 is as far as the farthest night of the baseline';
comment on column drift_results.score_limit is 'Ratio above which a column is unusual, all columns considered';
comment on column drift_results.drifted_weight is 'Share of the model''s importance whose columns lay outside the training data for the last 7 nights';
comment on column drift_results.estimate is 'Performance estimated without labels (confidence-based); not measured';
comment on column drift_results.report is 'Path of the Evidently page below the lake; null when there is none';
comment on column drift_results.report_error is 'Why there is no Evidently page, or which columns it lacks';

create table drift_columns (
    run_id text not null references drift_results on delete cascade,
    column_name text not null,
    role text not null,
    weight double precision not null,
    status text not null check (status in ('ok', 'unusual', 'gross', 'fault', 'not compared')),
    signal text not null,
    value double precision not null,
    threshold double precision not null,
    ratio double precision not null,
    beyond double precision not null,
    fault text,
    signals jsonb not null,
    sustained double precision not null,
    primary key (run_id, column_name)
);
comment on table drift_columns is 'The most unusual signal of every column of a night';
comment on column drift_columns.weight is 'Share of the model''s importance, 0 to 1';
comment on column drift_columns.value is 'Distance: shape 0 to 1, shift in standard deviations, nulls, unseen and quarantined as shares';
comment on column drift_columns.threshold is 'Distance that is unusual for a night of so many rows';
comment on column drift_columns.ratio is 'How far beyond chance, by what the farthest night of the baseline was';
comment on column drift_columns.signals is 'Per signal: distance, and the distance that is unusual';
comment on column drift_columns.beyond is 'Share of the baseline''s nights that lay nearer';
comment on column drift_columns.sustained is 'Ratio of the last 7 nights together to the training nights';

create table performance_results (
    job text not null references jobs,
    night date not null,
    known_at date not null,
    run_id text not null references scoring_runs,
    model_version integer not null,
    rows_published bigint not null,
    rows_labelled bigint not null,
    share_labelled double precision not null,
    metrics jsonb not null,
    rolling jsonb not null,
    sums jsonb not null,
    labels_hash text not null,
    measured_at timestamptz not null,
    primary key (job, night, known_at)
);
comment on table performance_results is 'Performance of a published night, as far as its labels were known at the end of another';
comment on column performance_results.known_at is 'Night at whose end these labels were known; a new row only when they changed';
comment on column performance_results.metrics is 'Per metric: value, low, high (95 percent bootstrap interval over rows)';
comment on column performance_results.rolling is 'The same over the last 7 and 28 measured nights (interval over nights)';
comment on column performance_results.sums is 'Sums that add up over nights';

create table retraining_decisions (
    decision_id bigint generated always as identity primary key,
    job text not null references jobs,
    night date not null,
    run_id text not null references scoring_runs,
    model_version integer not null,
    decision text not null check (decision in ('retrain', 'hold', 'none')),
    reason text not null,
    inputs jsonb not null,
    origin text not null,
    decided_at timestamptz not null,
    retraining text check (retraining in ('running', 'done', 'failed')),
    trained_version integer,
    unique (job, night, run_id)
);
comment on table retraining_decisions is 'What the governor decided after a night, why, and on which facts; one row per run';
comment on column retraining_decisions.decision is 'retrain; hold: there is a reason to, but something forbids it; none: no reason';
comment on column retraining_decisions.retraining is 'How the retraining that was asked for goes; null when none was started';

create table alerts (
    job text not null references jobs,
    night date not null,
    kind text not null,
    message text not null,
    sent_at timestamptz not null,
    primary key (job, night, kind)
);
comment on table alerts is 'Alerts that were sent: each kind once per night';

create view drift_by_night as
select
    d.job,
    d.night,
    d.verdict,
    d.reasons,
    d.score,
    d.score_limit,
    d.drifted_weight,
    d.baseline_nights,
    d.rows,
    d.estimate,
    d.model_version,
    d.run_id,
    d.evaluated_at
from drift_results as d
join published_nights as p on p.run_id = d.run_id;
comment on view drift_by_night is 'The verdict on every published night; one row per job and night';

create view performance_by_night as
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
order by r.job, r.night, r.known_at desc;
comment on view performance_by_night is 'Measured performance of every night by the newest labels; one row per job and night';

grant select, insert, update, delete on
    night_profiles, drift_results, drift_columns, performance_results, retraining_decisions, alerts
to nightshift_writer;
grant select on drift_by_night, performance_by_night to nightshift_writer;
grant select on
    drift_results, drift_columns, drift_by_night, performance_results, performance_by_night, retraining_decisions, alerts
to nightshift_analyst;
