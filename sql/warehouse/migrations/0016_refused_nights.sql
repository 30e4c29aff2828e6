-- what:  the job file of a retraining; what the ledger and the record of actions say of refused nights and accepted declarations
-- notes: job_file is json, which keeps the order of features; jsonb has its own.
--        Applied once, in one transaction, by `nightshift migrate`; several statements, as migrations have.

comment on column scoring_runs.model_version is
'Version that scored the rows; 0 if the attempt was refused before there was one';
comment on column scoring_runs.model_sha256 is
'sha256 of the artifact that was pinned when the run began; empty if there was none';
comment on column actions.action is
'What was done: promoted, rolled back, released, discarded, unpublished, rescored, accepted, retired, approved, refused, …';

alter table retrainings add column job_file json;
comment on column retrainings.job_file is
'The job file as it was when the rows were read: training and comparison go by it; null in older ones';
