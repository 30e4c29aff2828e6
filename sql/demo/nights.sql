-- what:       how the demo's nights were scored and judged
-- grain:      one row per job and published night
-- parameters: none
select
    r.job,
    r.night,
    r.rows_extracted as rows,
    r.rows_quarantined as quarantined,
    r.rows_loaded as published,
    r.rows_per_second as "rows/s",
    r.model_version as champion,
    d.verdict as drift
from published_nights as p
join scoring_runs as r on r.run_id = p.run_id
left join drift_results as d on d.run_id = p.run_id
where r.night between '2013-04-01' and '2013-04-03'
order by r.job, r.night
