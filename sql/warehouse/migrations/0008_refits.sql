-- what:  losses of every fit on nights that it had not seen, for what refitting gains
-- grain: see the comment of the table
-- notes: applied once, in one transaction, by `nightshift migrate`; several statements, as migrations have

create table refit_losses (
    job text not null references jobs,
    recipe_sha256 text not null,
    model_version integer not null check (model_version >= 0),
    until date not null,
    night date not null check (night >= until),
    rows bigint not null check (rows >= 0),
    loss double precision not null,
    groups jsonb,
    measured_at timestamptz not null,
    primary key (job, recipe_sha256, model_version, until, night)
);
comment on table refit_losses is 'Loss of a fit on a night that it had not seen, one row each: what the gate pools to say what refitting gains';
comment on column refit_losses.job is 'Name of the job';
comment on column refit_losses.recipe_sha256 is 'What made it out of rows: pipeline, columns, how it is trained';
comment on column refit_losses.model_version is 'The model version, or 0 for a fit that was made only to learn what refitting gains';
comment on column refit_losses.until is 'First night that it was not fitted on';
comment on column refit_losses.night is 'The night it was measured on';
comment on column refit_losses.rows is 'Labelled rows of the night';
comment on column refit_losses.loss is 'Loss summed over these rows: log loss in nats, or absolute error in the unit of the label';
comment on column refit_losses.groups is 'Of a snapshot job: rows and loss by group of entities, as two lists';
comment on column refit_losses.measured_at is 'When it was measured (UTC)';
grant select, insert, update, delete on refit_losses to nightshift_writer;
