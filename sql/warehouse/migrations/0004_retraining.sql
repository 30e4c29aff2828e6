-- what:  retrainings and how they ended, model cards, versions that score in the shadow and how they did
-- grain: see the comment of each table
-- notes: applied once, in one transaction, by `nightshift migrate`; several statements, as migrations have

create table retrainings (
    retraining_id bigint generated always as identity primary key,
    job text not null references jobs,
    night date not null,
    trigger text not null check (trigger in ('decision', 'schedule', 'hand')),
    reason text not null,
    decision_id bigint references retraining_decisions,
    airflow_run_id text,
    since date not null,
    until date not null,
    forced boolean not null default false,
    stage text not null check (
        stage in ('snapshot', 'train', 'evaluate', 'gate', 'approve', 'shadow', 'promote', 'announce', 'done')
    ),
    state text not null check (
        state in ('running', 'unchanged', 'refused', 'promoted', 'failed')
    ),
    detail text,
    snapshot text,
    model_version integer,
    champion_version integer,
    gate jsonb,
    started_at timestamptz not null,
    finished_at timestamptz,
    unique (job, airflow_run_id)
);
create unique index retrainings_one_at_a_time on retrainings (job) where finished_at is null;
create index retrainings_night on retrainings (job, night);
comment on table retrainings is 'One row per retraining, forever: what asked for it, how far it came, how it ended and why';
comment on column retrainings.night is 'It knew what was known at the end of this night, nothing later';
comment on column retrainings.until is 'First night that was not read';
comment on column retrainings.state is 'unchanged: same data and recipe as a version there is; refused: gate, shadow or a person said no';
comment on column retrainings.gate is 'Every check of the gate: what was found, what is allowed';

create table model_cards (
    job text not null references jobs,
    model_version integer not null,
    card jsonb not null,
    made_at timestamptz not null,
    primary key (job, model_version)
);
comment on table model_cards is 'Data, metrics with intervals, comparison and decision of a model version, as in its artifact model_card.json';

create table shadows (
    shadow_id bigint generated always as identity primary key,
    job text not null references jobs,
    model_version integer not null,
    model_sha256 text not null,
    model_uri text not null,
    role text not null check (role in ('challenger', 'predecessor')),
    champion_version integer not null,
    first_night date not null,
    nights integer not null check (nights > 0),
    state text not null check (state in ('running', 'passed', 'failed', 'ended')),
    detail text,
    evidence jsonb,
    retraining_id bigint references retrainings,
    started_at timestamptz not null,
    ended_at timestamptz
);
create unique index shadows_one_at_a_time on shadows (job, model_version) where ended_at is null;
comment on table shadows is 'Versions that score the nights of a champion beside it; nothing of theirs is ever published';
comment on column shadows.nights is 'So many published nights of the champion, from first_night on';
comment on column shadows.state is 'passed: the challenger did not worse, or the predecessor took the crown back; failed: the challenger was worse; ended: no verdict';

create table shadow_nights (
    run_id text not null references scoring_runs,
    model_version integer not null,
    job text not null references jobs,
    night date not null,
    champion_version integer not null,
    status text not null check (status in ('scored', 'failed')),
    reason text,
    rows bigint,
    seconds double precision,
    disagreement jsonb,
    sums jsonb,
    scored_at timestamptz not null,
    measured_at timestamptz,
    primary key (run_id, model_version)
);
create index shadow_nights_night on shadow_nights (job, model_version, night);
comment on table shadow_nights is 'One row per run and version that scored it in the shadow';
comment on column shadow_nights.champion_version is 'Version that scored the run itself';
comment on column shadow_nights.disagreement is 'How the two differ: share of decisions changed, quantiles of the differences, by segment';
comment on column shadow_nights.sums is 'Rows with an outcome and the loss of both on them, for performance side by side';

alter table model_promotions add column retraining_id bigint references retrainings;
alter table model_promotions add constraint one_promotion_per_retraining unique (retraining_id);
comment on column model_promotions.retraining_id is 'Retraining that the version came from; null when a person promoted it, and for rollbacks';

alter table scoring_runs add column pruned_at timestamptz;
comment on column scoring_runs.pruned_at is 'When retention removed the files and rows of the run; null while they are there';

grant select, insert, update, delete on retrainings, model_cards, shadows, shadow_nights to nightshift_writer;
grant select on retrainings, model_cards, shadows, shadow_nights to nightshift_analyst;
