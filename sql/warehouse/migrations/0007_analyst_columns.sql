-- what:  metrics as columns, decisions by threshold, missing nights, and a comment on every column an analyst can read
-- grain: see the comment of each view
-- notes: applied once, in one transaction, by `nightshift migrate`; several statements, as migrations have.
--        A view that was there keeps its columns in their order, for views and reports of others; new ones come last.

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
    (m.bias ->> 'high')::double precision as bias_high
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
        r.measured_at
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

create view performance_by_window as
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
    n.run_id
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
    bias jsonb
);
comment on view performance_by_window is
'Measured performance of the last 7 and 28 nights up to each night; one row per job, night and number of nights';

create or replace view drift_by_night as
select
    d.job,
    d.night,
    d.verdict,
    d.reasons,
    d.score,
    d.score_limit,
    d.drifted_weight,
    d.baseline_nights,
    d.rows,
    d.estimate,
    d.model_version,
    d.run_id,
    d.evaluated_at,
    (select string_agg(e.reason, '; ' order by e.place)
    from jsonb_array_elements_text(d.reasons) with ordinality as e (reason, place)) as reason,
    (select string_agg(e.fault, '; ' order by e.place)
    from jsonb_array_elements_text(d.faults) with ordinality as e (fault, place)) as fault,
    (select string_agg(e.name, ', ' order by e.place)
    from jsonb_array_elements_text(d.drifted_columns) with ordinality as e (name, place)) as drifted,
    (select count(*) from drift_columns as c where c.run_id = d.run_id and c.status in ('unusual', 'gross', 'fault'))
        as columns_unusual,
    f.column_name as farthest_column,
    f.signal as farthest_signal,
    f.value as farthest_distance,
    f.threshold as farthest_threshold,
    f.ratio as farthest_ratio,
    (d.estimate ->> 'log_loss')::double precision as estimated_log_loss,
    (d.estimate ->> 'brier')::double precision as estimated_brier,
    (d.estimate ->> 'auc')::double precision as estimated_auc,
    (d.estimate ->> 'base_rate')::double precision as estimated_base_rate
from drift_results as d
join published_nights as p on p.run_id = d.run_id
left join lateral (
    select
        c.column_name,
        c.signal,
        c.value,
        c.threshold,
        c.ratio
    from drift_columns as c
    where c.run_id = d.run_id and c.role = 'monitored' and c.status <> 'not compared'
    order by c.ratio desc, c.column_name
    limit 1
) as f on true;

-- The bins are those of drift/performance/metrics.py (500 of the outcomes, behind five sums) and scoring/rows/bins.py (100
-- of all rows); both have an edge at every threshold, so that the counts are those of the rows, not of an estimate.
create view decisions_by_threshold as
select
    p.job,
    p.night,
    (t.percent / 100.0)::numeric(3, 2) as threshold,
    q.rows,
    t.positives,
    t.positives::double precision / nullif(q.rows, 0) as share_positive,
    r.rows_labelled,
    t.true_positives,
    t.false_positives,
    t.false_negatives,
    t.true_negatives,
    t.true_positives::double precision / nullif(t.true_positives + t.false_positives, 0) as precision,
    t.true_positives::double precision / nullif(t.true_positives + t.false_negatives, 0) as recall,
    r.known_at,
    p.model_version,
    p.run_id
from published_nights as p
left join night_profiles as q
    on q.run_id = p.run_id and q.profile -> 'columns' ? 'probability_grid'
left join lateral (
    select
        m.known_at,
        m.rows_labelled,
        m.sums
    from performance_results as m
    where m.job = p.job and m.night = p.night and m.run_id = p.run_id and m.metrics ? 'auc'
    order by m.known_at desc
    limit 1
) as r on true
cross join lateral (
    select
        s.percent,
        a.positives,
        o.true_positives,
        o.false_positives,
        o.false_negatives,
        o.true_negatives
    from generate_series(5, 95, 5) as s (percent)
    left join (
        select
            e.percent,
            sum(b.counted::bigint) filter (where b.place > e.percent)::bigint as positives
        from jsonb_array_elements_text(q.profile #> '{columns,probability_grid,bins}')
            with ordinality as b (counted, place)
        cross join generate_series(5, 95, 5) as e (percent)
        group by e.percent
    ) as a on a.percent = s.percent
    left join (
        select
            e.percent,
            coalesce(sum(b.positive) filter (where b.step * 5 >= e.percent), 0)::bigint as true_positives,
            coalesce(sum(b.negative) filter (where b.step * 5 >= e.percent), 0)::bigint as false_positives,
            coalesce(sum(b.positive) filter (where b.step * 5 < e.percent), 0)::bigint as false_negatives,
            coalesce(sum(b.negative) filter (where b.step * 5 < e.percent), 0)::bigint as true_negatives
        from (
            select
                mod(c.place::integer - 5, 500) / 25 as step,
                coalesce(sum(c.counted::double precision) filter (where c.place::integer < 505), 0) as positive,
                coalesce(sum(c.counted::double precision) filter (where c.place::integer >= 505), 0) as negative
            from rows from (
                jsonb_array_elements_text(r.sums -> 0), jsonb_array_elements_text(r.sums -> 1)
            ) as c (place, counted)
            where c.place::integer between 5 and 1004
            group by 1
        ) as b
        cross join generate_series(5, 95, 5) as e (percent)
        group by e.percent
    ) as o on o.percent = s.percent
    where q.run_id is not null or r.known_at is not null
    offset 0 -- counts once per night, not once per threshold
) as t;
comment on view decisions_by_threshold is
'What every threshold from 0.05 to 0.95 would decide on each published night of a binary job, and how often it would be right';

create or replace view scoring_status as
select
    j.job,
    j.owner,
    expected.night as expected_night,
    exists (
        select
        from published_nights as e
        join scoring_runs as x on x.run_id = e.run_id
        where e.job = j.job and e.night = expected.night and not x.provisional
    ) as expected_night_published,
    p.night as latest_night,
    p.rows as latest_rows,
    r.rows_quarantined as latest_rows_quarantined,
    p.model_version,
    p.run_id,
    p.published_at,
    (select count(*) from published_nights as n where n.job = j.job) as nights_published,
    (select count(*) from scoring_runs as h where h.job = j.job and h.status = 'held') as nights_held,
    l.night as last_run_night,
    l.status as last_run_status,
    l.reason as last_run_reason,
    r.provisional as latest_provisional,
    j.retired_at,
    j.retired_reason,
    m.nights_missing,
    m.missing
from jobs as j
cross join lateral (
    select case
        when j.retired_at is null then least(j.last_night, (now() at time zone j.timezone)::date - 1)
    end as night
) as expected
left join lateral (
    select * from published_nights as n where n.job = j.job order by n.night desc limit 1
) as p on true
left join scoring_runs as r on r.run_id = p.run_id
left join lateral (
    select * from scoring_runs as s where s.job = j.job order by s.started_at desc limit 1
) as l on true
cross join lateral (
    select
        coalesce(sum(g.nights), 0)::integer as nights_missing,
        coalesce(
            array_agg(g.first::text || case when g.last > g.first then ' to ' || g.last else '' end order by g.first),
            '{}'
        ) as missing
    from (
        select
            min(d.night) as first,
            max(d.night) as last,
            count(*) as nights
        from (
            select
                c.night,
                c.place - row_number() over (order by c.night) as gap
            from (
                select
                    days.night,
                    row_number() over (order by days.night) as place
                from (
                    select s.day::date as night
                    from generate_series(
                        greatest(
                            j.first_night,
                            expected.night - 29,
                            (select min(c.effective_from) from model_promotions as c where c.job = j.job)
                        )::timestamp,
                        expected.night::timestamp,
                        interval '1 day'
                    ) as s (day)
                    -- a zone that crosses the date line leaves a day out
                    where s.day at time zone j.timezone < (s.day + interval '1 day') at time zone j.timezone
                ) as days
                where exists (select from model_promotions as c where c.job = j.job)
            ) as c
            where not exists (
                select
                from published_nights as e
                join scoring_runs as x on x.run_id = e.run_id
                where e.job = j.job and e.night = c.night and not x.provisional
            ) and 'skipped' is distinct from (
                select a.status from scoring_runs as a
                where a.job = j.job and a.night = c.night order by a.started_at desc limit 1
            )
        ) as d
        group by d.gap
    ) as g
) as m;
comment on view scoring_status is
'Is last night there, complete and fresh, and which of the last 30 are missing? One row per job; nothing is expected of a retired one';

grant select on performance_by_window, decisions_by_threshold to nightshift_writer, nightshift_analyst;

comment on column jobs.description is 'What a prediction says, from the job file';
comment on column jobs.owner is 'Who answers for the job';
comment on column jobs.timezone is 'The zone in which a night is a calendar day';
comment on column jobs.first_night is 'First night the schedule covers';

comment on column scoring_runs.run_id is 'Name of the run, with its night and the time of its start';
comment on column scoring_runs.interval_start is 'Start of the night: its first moment belongs to it';
comment on column scoring_runs.interval_end is 'End of the night: this moment belongs to the next one';
comment on column scoring_runs.airflow_run_id is 'DAG run that made the attempt; null without Airflow';
comment on column scoring_runs.status is
'published: shown; superseded: a later run is shown; held: the publish gate refused it; skipped: no rows; unpublished: taken back; running, failed, discarded, abandoned';
comment on column scoring_runs.stage is 'How far it came: extract, score, publish, done';
comment on column scoring_runs.reason is 'Why it is not shown; null if it is';
comment on column scoring_runs.model_version is 'Version that scored the rows';
comment on column scoring_runs.job_sha256 is 'sha256 of the job file''s content as it was read';
comment on column scoring_runs.sql_sha256 is 'sha256 of features.sql as it was run';
comment on column scoring_runs.code_version is 'Commit, or release, of the code that ran';
comment on column scoring_runs.library_versions is 'Library and version, of those that decide about numbers';
comment on column scoring_runs.chunks is 'Parts in which the night was scored; null until it was extracted';
comment on column scoring_runs.rows_extracted is 'Rows that features.sql gave';
comment on column scoring_runs.rows_quarantined is 'Rows that broke the contract and were not scored';
comment on column scoring_runs.rows_scored is 'Rows with a prediction';
comment on column scoring_runs.rows_loaded is 'Rows of the run in the warehouse when it was published';
comment on column scoring_runs.quarantine_reasons is 'Reason and number of rows in quarantine for it';
comment on column scoring_runs.unknown_categories is 'Column and number of rows with a category that training did not have';
comment on column scoring_runs.seconds_extract is 'Seconds spent reading the source and writing the feature snapshot';
comment on column scoring_runs.started_at is 'When the attempt began';
comment on column scoring_runs.finished_at is 'When it ended; null while it runs';

comment on column published_nights.run_id is 'Run that the views show of the night';
comment on column published_nights.run_number is 'The same run by its number, as the history tables have it';
comment on column published_nights.rows is 'Predictions that are shown';
comment on column published_nights.scored_at is 'When the run began';
comment on column published_nights.published_at is 'When the views switched to it';
comment on column publications.run_id is 'Run that was shown';
comment on column publications.visible_from is 'When the views switched to it';
comment on column publications.visible_until is 'When they switched to another, or to nothing; null while it is shown';

comment on column model_promotions.promotion_id is 'Counts promotions and rollbacks, in the order of their record';
comment on column model_promotions.model_version is 'Version that is champion';
comment on column model_promotions.effective_from is 'First night of which it is champion';
comment on column model_promotions.kind is 'promotion; rollback: an earlier champion got the crown back';
comment on column model_promotions.reason is 'Why, as given or as the gate found';
comment on column model_promotions.promoted_by is 'Person, or nightshift for a retraining';
comment on column model_promotions.promoted_at is 'When it was recorded';

comment on column night_profiles.rows is 'Rows that were counted';
comment on column night_profiles.profile is 'Per column: counts on its bins, nulls, unseen values, sums';

comment on column drift_results.verdict is 'ok; warn: unusual, look when you can; alert: broken, far out, or unusual for several nights';
comment on column drift_results.reasons is 'Why it is not ok, in sentences';
comment on column drift_results.drifted_columns is 'Columns that lay outside the training data for the last 7 nights';
comment on column drift_results.baseline_nights is 'Nights that the night was compared with';
comment on column drift_results.baseline_first is 'First of them; null if it is not recorded';
comment on column drift_results.rows is 'Rows that were compared: all that were scored';
comment on column drift_results.evaluated_at is 'When the night was judged last';
comment on column drift_columns.column_name is 'Feature, or prediction; probability_grid is the probability on equal bins';
comment on column drift_columns.role is 'monitored; seasonal: shown, never alarms alone; ignored';
comment on column drift_columns.status is 'ok; unusual; gross: far beyond every night of the baseline; fault: broken; not compared';
comment on column drift_columns.signal is 'What was most unusual: shape, shift, nulls, unseen or quarantined';
comment on column drift_columns.fault is 'What is broken; null if nothing is';

comment on column performance_results.rows_published is 'Predictions of the run';
comment on column performance_results.rows_labelled is 'Those whose outcome was known';
comment on column performance_results.share_labelled is 'Share of the predictions whose outcome was known, 0 to 1';
comment on column performance_results.labels_hash is 'Hash of the outcomes in any row order; equal means nothing new came';
comment on column performance_results.measured_at is 'When it was measured';

comment on column retraining_decisions.decision_id is 'Counts decisions, in the order of their record';
comment on column retraining_decisions.reason is 'Why, in a sentence';
comment on column retraining_decisions.inputs is 'The facts that it was decided on, as they were known at the end of the night';
comment on column retraining_decisions.origin is 'How the run came about; a backfill retrains nothing';
comment on column retraining_decisions.decided_at is 'When it was decided';
comment on column retraining_decisions.trained_version is 'Version that the retraining made; null for none';

comment on column alerts.kind is 'drift, held, failed, late, retraining or rollback';
comment on column alerts.message is 'The line that was sent';
comment on column alerts.sent_at is 'When it was sent';

comment on column retrainings.retraining_id is 'Number of the retraining';
comment on column retrainings.trigger is 'What asked for it: decision, schedule or hand';
comment on column retrainings.reason is 'Why, as given or as decided';
comment on column retrainings.decision_id is 'Decision that asked for it; null if none did';
comment on column retrainings.airflow_run_id is 'DAG run that made it; null without Airflow';
comment on column retrainings.since is 'First night that was read';
comment on column retrainings.forced is 'Whether it trained although nothing had changed since a version';
comment on column retrainings.stage is 'How far it came';
comment on column retrainings.detail is 'How it ended and why, in a sentence';
comment on column retrainings.snapshot is 'Hash of the rows that it trained on';
comment on column retrainings.model_version is 'Challenger that it trained; null before that';
comment on column retrainings.champion_version is 'Champion that the challenger was compared with';
comment on column retrainings.started_at is 'When it began';
comment on column retrainings.finished_at is 'When it ended; null while it is open';
comment on column model_cards.card is 'The card: data, metrics, comparison, decision';
comment on column model_cards.made_at is 'When it was written last';

comment on column shadows.shadow_id is 'Number of the stay in the shadow';
comment on column shadows.model_version is 'Version in the shadow';
comment on column shadows.model_sha256 is 'sha256 of its artifact';
comment on column shadows.model_uri is 'Folder of its files';
comment on column shadows.role is 'challenger: may become champion; predecessor: may take the crown back';
comment on column shadows.champion_version is 'Champion beside which it scores';
comment on column shadows.first_night is 'First night that it scores';
comment on column shadows.detail is 'How the stay ended and why, in a sentence';
comment on column shadows.evidence is 'The losses that decided; null while it runs';
comment on column shadows.retraining_id is 'Retraining that it came from; null if a person put it there';
comment on column shadows.started_at is 'When the stay began';
comment on column shadows.ended_at is 'When it ended; null while it runs';
comment on column shadow_nights.model_version is 'Version in the shadow';
comment on column shadow_nights.status is 'scored; failed: the version could not score the run';
comment on column shadow_nights.reason is 'Why it failed; null if it did not';
comment on column shadow_nights.rows is 'Rows that it scored';
comment on column shadow_nights.seconds is 'Seconds spent scoring';
comment on column shadow_nights.scored_at is 'When it scored them';
comment on column shadow_nights.measured_at is 'When its outcomes were measured; null until they are known';

comment on column scoring_status.job is 'Name of the job, as its file is called';
comment on column scoring_status.owner is 'Who answers for the job';
comment on column scoring_status.expected_night is 'Last night of the schedule that is over; null for a retired job';
comment on column scoring_status.expected_night_published is 'Whether it is shown, scored after its end';
comment on column scoring_status.latest_night is 'Newest night that is shown';
comment on column scoring_status.latest_rows is 'Its predictions';
comment on column scoring_status.latest_rows_quarantined is 'Its rows that broke the contract and were not scored';
comment on column scoring_status.model_version is 'Version that scored it';
comment on column scoring_status.run_id is 'Run of the ledger (scoring_runs) that it shows';
comment on column scoring_status.published_at is 'When the views switched to it';
comment on column scoring_status.nights_published is 'Nights that are shown';
comment on column scoring_status.nights_held is 'Runs that the publish gate holds';
comment on column scoring_status.last_run_night is 'Night of the newest attempt';
comment on column scoring_status.last_run_status is 'How that attempt ended';
comment on column scoring_status.last_run_reason is 'Why it is not shown; null if it is';
comment on column scoring_status.latest_provisional is 'Whether the newest night was scored before it was over';
comment on column scoring_status.retired_at is 'When the job was retired; null while its nights are expected';
comment on column scoring_status.retired_reason is 'Why it was retired, as given';
comment on column scoring_status.nights_missing is
'Nights of the last 30 that are not shown and should be: from the first champion''s on, but for those skipped without rows';
comment on column scoring_status.missing is 'The same as ranges, such as 2013-04-03 to 2013-04-05';

comment on column performance_by_window.last_nights is 'How many nights up to this one: 7 or 28';
comment on column performance_by_window.nights_measured is 'Those of them that are measured';
comment on column performance_by_window.model_version is 'Version that scored the last of the nights; the others may have another';

comment on column drift_by_night.reason is 'Why it is not ok, in sentences; null if it is';
comment on column drift_by_night.fault is 'What is broken, not merely different; null if nothing is';
comment on column drift_by_night.drifted is 'Columns that lay outside the training data for the last 7 nights; null for none';
comment on column drift_by_night.columns_unusual is 'Columns that were unusual or broken';
comment on column drift_by_night.farthest_column is 'The most unusual monitored column; its details are in drift_columns';
comment on column drift_by_night.farthest_signal is 'What was most unusual of it: shape, shift, nulls, unseen or quarantined';
comment on column drift_by_night.farthest_distance is
'Its distance: shape 0 to 1, shift in standard deviations, nulls, unseen and quarantined as shares';
comment on column drift_by_night.farthest_threshold is 'Distance that is unusual for a night of so many rows';
comment on column drift_by_night.farthest_ratio is 'How far beyond chance, by what the farthest night of the baseline was';
comment on column drift_by_night.estimated_log_loss is 'Log loss estimated without labels, in nats; null for other than binary jobs';
comment on column drift_by_night.estimated_brier is 'Brier score estimated without labels, 0 to 1; null for other than binary jobs';
comment on column drift_by_night.estimated_auc is 'Area under the ROC curve estimated without labels, 0 to 1; null for other than binary jobs';
comment on column drift_by_night.estimated_base_rate is 'Share of positives estimated without labels, 0 to 1; null for other than binary jobs';

comment on column decisions_by_threshold.threshold is 'Probability from which on a row would be decided as positive';
comment on column decisions_by_threshold.rows is 'Predictions of the night; null for a night that was not judged';
comment on column decisions_by_threshold.positives is 'Predictions of at least the threshold, with an outcome or without';
comment on column decisions_by_threshold.share_positive is 'The same as a share of the predictions, 0 to 1';
comment on column decisions_by_threshold.rows_labelled is 'Predictions whose outcome is known; null before any is';
comment on column decisions_by_threshold.true_positives is 'At least the threshold, and positive';
comment on column decisions_by_threshold.false_positives is 'At least the threshold, and negative';
comment on column decisions_by_threshold.false_negatives is 'Below the threshold, and positive';
comment on column decisions_by_threshold.true_negatives is 'Below the threshold, and negative';
comment on column decisions_by_threshold.precision is 'Share of the decided positives that are positive, 0 to 1; null if none is decided';
comment on column decisions_by_threshold.recall is 'Share of the positives that are decided as positive, 0 to 1; null if there is none';
comment on column decisions_by_threshold.model_version is 'Version whose probabilities they are';

do $$
declare
    metric record;
    part record;
    place record;
begin
    for metric in
        select * from (values
            ('log_loss', 'Mean log loss in nats, smaller is better; null for regression'),
            ('excess_log_loss', 'Log loss above that of always saying the base rate, in nats, smaller is better; null for regression'),
            ('brier', 'Mean squared distance of probability and outcome, 0 to 1, smaller is better; binary only'),
            ('auc', 'Area under the ROC curve, 0 to 1, greater is better, from 500 bins of the probability; binary only'),
            ('calibration_error', 'Mean distance of probability and share of positives over ten bins, as a probability, smaller is better; binary only'),
            ('calibration_gap', 'Mean probability less the share of positives, as a probability, best at 0; binary only'),
            ('base_rate', 'Share of positives among the outcomes, 0 to 1; binary only'),
            ('accuracy', 'Share of rows whose class is right, 0 to 1, greater is better; multiclass only'),
            ('mae', 'Mean absolute error in the unit of the label, smaller is better; regression only'),
            ('rmse', 'Root of the mean squared error in the unit of the label, smaller is better; regression only'),
            ('bias', 'Mean of prediction less outcome in the unit of the label, best at 0; regression only')
        ) as listed (name, words)
    loop
        for part in
            select * from (values
                ('', metric.words),
                ('_low', 'Lower end of the 95 percent interval of ' || metric.name),
                ('_high', 'Upper end of the 95 percent interval of ' || metric.name)
            ) as listed (suffix, words)
        loop
            execute 'comment on column performance_by_night.' || metric.name || part.suffix || ' is '
                || quote_literal(part.words);
            execute 'comment on column performance_by_window.' || metric.name || part.suffix || ' is '
                || quote_literal(part.words);
        end loop;
    end loop;
    -- what a column of a view means stands on the table that it comes from
    for place in
        select
            v.relname as view_name,
            a.attname as column_name,
            col_description(t.oid, b.attnum) as words
        from (values
            ('performance_by_night', 'performance_results'),
            ('performance_by_window', 'performance_results'),
            ('drift_by_night', 'drift_results'),
            ('decisions_by_threshold', 'performance_results')
        ) as pair (view_name, table_name)
        join pg_class as v on v.relname = pair.view_name and v.relnamespace = 'public'::regnamespace
        join pg_class as t on t.relname = pair.table_name and t.relnamespace = 'public'::regnamespace
        join pg_attribute as a on a.attrelid = v.oid
        join pg_attribute as b on b.attrelid = t.oid and b.attname = a.attname
        where col_description(v.oid, a.attnum) is null and col_description(t.oid, b.attnum) is not null
    loop
        execute 'comment on column ' || place.view_name || '.' || quote_ident(place.column_name) || ' is '
            || quote_literal(place.words);
    end loop;
    -- and what is the same everywhere stands here
    for place in
        select
            c.relname,
            a.attname as column_name,
            listed.words
        from (values
            ('job', 'Name of the job, as its file is called'),
            ('night', 'Calendar day in the job''s timezone'),
            ('run_id', 'Run of the ledger (scoring_runs)'),
            ('model_version', 'Model version')
        ) as listed (name, words)
        join pg_attribute as a on a.attname = listed.name
        join pg_class as c on c.oid = a.attrelid and c.relkind in ('r', 'v') and c.relnamespace = 'public'::regnamespace
        where col_description(c.oid, a.attnum) is null and c.relname in (
            'jobs', 'scoring_runs', 'published_nights', 'publications', 'model_promotions', 'night_profiles',
            'drift_results', 'drift_columns', 'performance_results', 'retraining_decisions', 'alerts', 'retrainings',
            'model_cards', 'shadows', 'shadow_nights', 'performance_by_night', 'performance_by_window',
            'drift_by_night', 'decisions_by_threshold'
        )
    loop
        execute 'comment on column ' || place.relname || '.' || quote_ident(place.column_name) || ' is '
            || quote_literal(place.words);
    end loop;
end
$$;
