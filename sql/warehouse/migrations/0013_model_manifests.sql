-- what:  what every file of a model version is by its sha256
-- grain: see the comment of the table
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
