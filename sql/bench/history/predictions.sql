-- what:       predictions of the same planes for every run of a span, in the order in which they would have been loaded
-- parameters: job, first, last, rows
insert into plane_grounded_predictions_history (tailnum, night, run_number, prediction, probability)
select 'N' || lpad(p.number::text, 7, '0'), r.night, r.run_number, p.number % 5 = 0, random()
from scoring_runs as r
cross join generate_series(0, :rows - 1) as p (number)
where r.job = :job and r.status = 'published' and r.night between cast(:first as date) and cast(:last as date)
order by r.night, p.number
