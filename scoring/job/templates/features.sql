-- what:       what is known of each row before its outcome
-- grain:      one row per (event_time, id)
-- parameters: interval_start, interval_end (UTC, half-open)
select
    event_time,
    id,
    amount,
    kind
from your_table
where event_time >= :interval_start
  and event_time < :interval_end
