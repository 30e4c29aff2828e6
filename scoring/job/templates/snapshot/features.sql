-- what:       what is known of each customer at the end of the night
-- grain:      one row per customer_id and night
-- parameters: night (the calendar day in the job's timezone), interval_end (its end, UTC)
select
    customer_id,
    amount,
    kind
from your_table
where day = :night
