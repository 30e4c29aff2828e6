-- what:       the outcome of each customer of a night in the 7 days after it, once it is known
-- grain:      one row per customer_id and night, of those with an outcome
-- parameters: night (the calendar day in the job's timezone), interval_end (its end, UTC)
select
    customer_id,
    outcome
from your_table
where day = :night
  and outcome is not null
