-- what:  runs whose chunks several tasks load, each in a transaction of its own
-- grain: see the comment of the table
-- notes: applied once, in one transaction, by `nightshift migrate`; several statements, as migrations have

alter table scoring_runs add column shards integer check (shards >= 1);
comment on column scoring_runs.shards is
'Tasks that shared the run, each scoring and loading its part; null where one task loaded it';

create table loaded_chunks (
    run_number bigint not null,
    chunk integer not null check (chunk >= 0),
    rows bigint not null check (rows >= 0),
    facts jsonb not null,
    primary key (run_number, chunk)
);
comment on table loaded_chunks is 'Chunks of shared runs whose predictions are loaded: a row is committed with the predictions, so that a task that is tried again leaves them';
comment on column loaded_chunks.run_number is 'The run, as scoring_runs numbers it';
comment on column loaded_chunks.chunk is 'Number of the chunk, from 0 on';
comment on column loaded_chunks.rows is 'Predictions that were loaded';
comment on column loaded_chunks.facts is 'Sums over the chunk that the run''s hashes and counts are made of: of the predictions, and of the rows where the task read them';
grant select, insert, update, delete on loaded_chunks to nightshift_writer;
