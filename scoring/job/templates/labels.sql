-- what:       the outcome of each row, once it is known
-- grain:      one row per (event_time, id) with an outcome
-- parameters: interval_start, interval_end (UTC, half-open)
select
    event_time,
    id,
    outcome
from your_table
where event_time >= :interval_start
  and event_time < :interval_end
  and outcome is not null
