-- what:  why the mean prediction of a night moved, by feature
-- grain: see the comment of the table
-- notes: applied once, in one transaction, by `nightshift migrate`; several statements, as migrations have

create table mean_shifts (
    run_id text not null references scoring_runs (run_id),
    job text not null,
    night date not null,
    model_version integer not null,
    feature text not null,
    contribution_reference double precision not null,
    contribution_night double precision not null,
    shift double precision generated always as (contribution_night - contribution_reference) stored,
    rows_night bigint not null check (rows_night > 0),
    rows_reference bigint not null check (rows_reference > 0),
    unit text not null,
    measured_at timestamptz not null,
    primary key (run_id, feature)
);
comment on table mean_shifts is
'Why the mean prediction moved: of each scored run of a job with reasons, and each feature, its mean contribution in the night and on the rows that the version was trained on. The shifts of a run sum to the shift of its mean margin';
comment on column mean_shifts.run_id is 'Run of the ledger (scoring_runs)';
comment on column mean_shifts.job is 'Name of the job';
comment on column mean_shifts.night is 'Calendar day in the job''s timezone that was scored';
comment on column mean_shifts.model_version is 'Version that scored the run';
comment on column mean_shifts.feature is 'Feature of the job, or (base), the margin of the average row, which moves with the classes that are predicted if there are several';
comment on column mean_shifts.contribution_reference is 'Mean contribution on the rows of the version''s reference';
comment on column mean_shifts.contribution_night is 'Mean contribution on the rows of the night';
comment on column mean_shifts.shift is 'What the feature moved the mean margin by: night less reference';
comment on column mean_shifts.rows_night is 'Rows of the night that were explained, all of a small one, else a sample spread over it';
comment on column mean_shifts.rows_reference is 'Rows of the reference that were explained';
comment on column mean_shifts.unit is 'What margins are counted in: log-odds, probability, prediction, log of the prediction or score, perhaps before calibration';
comment on column mean_shifts.measured_at is 'When it was measured';
create index mean_shifts_by_night on mean_shifts (job, night);
grant select on mean_shifts to nightshift_analyst;
grant select, insert, update, delete on mean_shifts to nightshift_writer;
