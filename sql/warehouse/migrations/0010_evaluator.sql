-- what:  what computed a run's predictions: an evaluator of the version, or scikit-learn itself
-- notes: applied once, in one transaction, by `nightshift migrate`; several statements, as migrations have.

alter table scoring_runs add column evaluator text;
comment on column scoring_runs.evaluator is
'What computed the predictions: an evaluator such as bitset, which gives the pipeline''s own bits, or scikit-learn, with the reason if the version has an evaluator; null in older runs';
