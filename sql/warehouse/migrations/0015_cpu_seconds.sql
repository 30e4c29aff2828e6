-- what:  the CPU time that a run spent, from which the cost of predictions is told
-- notes: applied once, in one transaction, by `nightshift migrate`; several statements, as migrations have.

alter table scoring_runs add column cpu_seconds double precision;
comment on column scoring_runs.cpu_seconds is
'CPU seconds of the processes that extracted, scored and published, tries that failed included; not the start of a process, not the database servers; null in older runs';
