-- what:  coverage and width of intervals as columns of the analysts' views of performance
-- grain: see the comment of each view
-- notes: applied once, in one transaction, by `nightshift migrate`; several statements, as migrations have.
--        A view keeps its columns in their order; new ones come last.

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
    n.reasons,
    (m.coverage ->> 'value')::double precision as coverage,
    (m.coverage ->> 'low')::double precision as coverage_low,
    (m.coverage ->> 'high')::double precision as coverage_high,
    (m.interval_width ->> 'value')::double precision as interval_width,
    (m.interval_width ->> 'low')::double precision as interval_width_low,
    (m.interval_width ->> 'high')::double precision as interval_width_high
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
    bias jsonb,
    coverage jsonb,
    interval_width jsonb
);

create or replace view performance_by_window as
select
    n.job,
    n.night,
    w.last_nights::integer as last_nights,
    (w.content ->> 'nights')::integer as nights_measured,
    n.known_at,
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
    n.model_version,
    n.run_id,
    (m.coverage ->> 'value')::double precision as coverage,
    (m.coverage ->> 'low')::double precision as coverage_low,
    (m.coverage ->> 'high')::double precision as coverage_high,
    (m.interval_width ->> 'value')::double precision as interval_width,
    (m.interval_width ->> 'low')::double precision as interval_width_low,
    (m.interval_width ->> 'high')::double precision as interval_width_high
from performance_by_night as n
cross join lateral jsonb_each(n.rolling) as w (last_nights, content)
cross join lateral jsonb_to_record(w.content) as m (
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
    bias jsonb,
    coverage jsonb,
    interval_width jsonb
);

comment on column performance_by_night.coverage is
'Share of the outcomes that lie in their intervals, 0 to 1, best at the level of the job file; regression with intervals only';
comment on column performance_by_night.coverage_low is
'Lower end of the 95 percent interval of coverage';
comment on column performance_by_night.coverage_high is
'Upper end of the 95 percent interval of coverage';
comment on column performance_by_night.interval_width is
'Mean width of the intervals, in the unit of the outcome, smaller is better; regression with intervals only';
comment on column performance_by_night.interval_width_low is
'Lower end of the 95 percent interval of interval_width';
comment on column performance_by_night.interval_width_high is
'Upper end of the 95 percent interval of interval_width';
comment on column performance_by_window.coverage is
'Share of the outcomes that lie in their intervals, 0 to 1, best at the level of the job file; regression with intervals only';
comment on column performance_by_window.coverage_low is
'Lower end of the 95 percent interval of coverage';
comment on column performance_by_window.coverage_high is
'Upper end of the 95 percent interval of coverage';
comment on column performance_by_window.interval_width is
'Mean width of the intervals, in the unit of the outcome, smaller is better; regression with intervals only';
comment on column performance_by_window.interval_width_low is
'Lower end of the 95 percent interval of interval_width';
comment on column performance_by_window.interval_width_high is
'Upper end of the 95 percent interval of interval_width';
