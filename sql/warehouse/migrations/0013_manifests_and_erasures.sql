-- what:  what every file of a model version is by its sha256; erasures of the rows of an entity
-- grain: see the comments of the tables
-- notes: applied once, in one transaction, by `nightshift migrate`; several statements, as migrations have. Versions of before
--        have no row: their pipeline is held against the sha256 of the registry or the promotion, as it was

create table model_manifests (
    manifest_id bigint generated always as identity primary key,
    job text not null,
    model_version integer check (model_version > 0),
    model_uri text not null,
    files jsonb not null,
    sha256 text not null,
    reason text not null,
    recorded_at timestamptz not null default now()
);
create index model_manifests_by_version on model_manifests (job, model_version, manifest_id);
comment on table model_manifests is 'The files of every model version with their sha256, one row when it is registered and one for every change; the newest counts';
comment on column model_manifests.manifest_id is 'Number of the row';
comment on column model_manifests.job is 'Name of the job';
comment on column model_manifests.model_version is 'Version in the registry; null until it has its number';
comment on column model_manifests.model_uri is 'Where the files were when they were recorded';
comment on column model_manifests.files is 'Of each file by name: sha256 and size in bytes; "was" is the sha256 of the file that is being replaced';
comment on column model_manifests.sha256 is 'Of "files", as JSON with sorted keys and without blanks';
comment on column model_manifests.reason is 'Why it was recorded: registered, a card, an erasure';
comment on column model_manifests.recorded_at is 'When it was recorded (UTC)';
grant select, insert, update on model_manifests to nightshift_writer;

create table erasures (
    erasure_id bigint generated always as identity primary key,
    job text not null references jobs,
    key_columns jsonb not null,
    key_check text,
    reason text not null,
    done_by text not null,
    counts jsonb not null,
    started_at timestamptz not null,
    finished_at timestamptz,
    check (finished_at is null or key_check is null)
);
create index erasures_job on erasures (job, erasure_id);
comment on table erasures is 'One row per erasure of an entity''s rows, forever. It never holds the value of a key';
comment on column erasures.erasure_id is 'Number of the erasure';
comment on column erasures.job is 'Name of the job';
comment on column erasures.key_columns is 'The key columns that a value was given for';
comment on column erasures.key_check is 'Salt and scrypt of the values, to know them again when they are given to go on; null once it is finished';
comment on column erasures.reason is 'Why, as it was given';
comment on column erasures.done_by is 'The operating system''s user who began it';
comment on column erasures.counts is 'Rows, or texts and pages, that went from each store';
comment on column erasures.started_at is 'When it began (UTC)';
comment on column erasures.finished_at is 'When nothing was left of it (UTC); null until then';

create table erased_runs (
    erasure_id bigint not null references erasures,
    run_id text not null references scoring_runs,
    rows_extracted bigint,
    rows_quarantined bigint,
    rows_scored bigint,
    rows_loaded bigint,
    snapshot_hash text,
    predictions_hash text,
    finished_at timestamptz,
    primary key (erasure_id, run_id)
);
comment on table erased_runs is 'Runs that lost rows to an erasure, with what the ledger said of them before: it says now what is there';
comment on column erased_runs.erasure_id is 'The erasure';
comment on column erased_runs.run_id is 'The run';
comment on column erased_runs.rows_extracted is 'Rows that the run had extracted, before';
comment on column erased_runs.rows_quarantined is 'Rows in its quarantine, before';
comment on column erased_runs.rows_scored is 'Rows that it had scored, before';
comment on column erased_runs.rows_loaded is 'Rows that it had loaded, before';
comment on column erased_runs.snapshot_hash is 'Hash of its rows, before';
comment on column erased_runs.predictions_hash is 'Hash of its predictions, before';
comment on column erased_runs.finished_at is 'When files, rows and ledger of the run agreed again (UTC); null until then';
grant select, insert, update on erasures, erased_runs to nightshift_writer;
