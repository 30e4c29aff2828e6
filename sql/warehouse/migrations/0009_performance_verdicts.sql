-- what:  the verdict on measured performance, beside the measurement and in the analysts' view
-- grain: see the comment of each table and view
-- notes: applied once, in one transaction, by `nightshift migrate`; several statements, as migrations have.
--        Rows from before have no verdict until their night is measured again.

alter table performance_results
add column verdict text check (verdict in ('ok', 'warn', 'alert')),
add column reasons jsonb not null default '[]',
add column judgement jsonb;
comment on column performance_results.verdict is
'ok, warn or alert: the night, the last 7 and the last 28 measured nights of its version against the holdout at training; null if not judged';
comment on column performance_results.reasons is 'Why, in words, or why it was not judged';
comment on column performance_results.judgement is
'What the verdict comes from: rises with intervals by window, loss less a constant''s, and the night since which performance is broken';
comment on column alerts.kind is 'drift, held, failed, late, performance, retraining or rollback';

create or replace view performance_by_night as
select
    n.job,
    n.night,
    n.known_at,
    n.rows_published,
    n.rows_labelled,
    n.share_labelled,
    n.metrics,
    n.rolling,
    n.model_version,
    n.run_id,
    n.measured_at,
    (m.log_loss ->> 'value')::double precision as log_loss,
    (m.log_loss ->> 'low')::double precision as log_loss_low,
    (m.log_loss ->> 'high')::double precision as log_loss_high,
    (m.excess_log_loss ->> 'value')::double precision as excess_log_loss,
    (m.excess_log_loss ->> 'low')::double precision as excess_log_loss_low,
    (m.excess_log_loss ->> 'high')::double precision as excess_log_loss_high,
    (m.brier ->> 'value')::double precision as brier,
    (m.brier ->> 'low')::double precision as brier_low,
    (m.brier ->> 'high')::double precision as brier_high,
    (m.auc ->> 'value')::double precision as auc,
    (m.auc ->> 'low')::double precision as auc_low,
    (m.auc ->> 'high')::double precision as auc_high,
    (m.calibration_error ->> 'value')::double precision as calibration_error,
    (m.calibration_error ->> 'low')::double precision as calibration_error_low,
    (m.calibration_error ->> 'high')::double precision as calibration_error_high,
    (m.calibration_gap ->> 'value')::double precision as calibration_gap,
    (m.calibration_gap ->> 'low')::double precision as calibration_gap_low,
    (m.calibration_gap ->> 'high')::double precision as calibration_gap_high,
    (m.base_rate ->> 'value')::double precision as base_rate,
    (m.base_rate ->> 'low')::double precision as base_rate_low,
    (m.base_rate ->> 'high')::double precision as base_rate_high,
    (m.accuracy ->> 'value')::double precision as accuracy,
    (m.accuracy ->> 'low')::double precision as accuracy_low,
    (m.accuracy ->> 'high')::double precision as accuracy_high,
    (m.mae ->> 'value')::double precision as mae,
    (m.mae ->> 'low')::double precision as mae_low,
    (m.mae ->> 'high')::double precision as mae_high,
    (m.rmse ->> 'value')::double precision as rmse,
    (m.rmse ->> 'low')::double precision as rmse_low,
    (m.rmse ->> 'high')::double precision as rmse_high,
    (m.bias ->> 'value')::double precision as bias,
    (m.bias ->> 'low')::double precision as bias_low,
    (m.bias ->> 'high')::double precision as bias_high,
    n.verdict,
    n.reasons
from (
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
        r.measured_at,
        r.verdict,
        r.reasons
    from performance_results as r
    join published_nights as p on p.job = r.job and p.night = r.night
    join scoring_runs as s on s.run_id = r.run_id
    where s.status in ('published', 'superseded') and not s.provisional
    order by r.job, r.night, r.known_at desc
) as n
cross join lateral jsonb_to_record(n.metrics) as m (
    log_loss jsonb,
    excess_log_loss jsonb,
    brier jsonb,
    auc jsonb,
    calibration_error jsonb,
    calibration_gap jsonb,
    base_rate jsonb,
    accuracy jsonb,
    mae jsonb,
    rmse jsonb,
    bias jsonb
);
comment on view performance_by_night is
'Measured performance of every published night by the newest labels; one row per job and night, a column per metric';
comment on column performance_by_night.verdict is
'ok, warn or alert: the night, the last 7 and the last 28 measured nights of its version against the holdout at training; null if not judged';
comment on column performance_by_night.reasons is 'Why, in words, or why it was not judged';
