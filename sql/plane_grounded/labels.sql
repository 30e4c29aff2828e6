-- what:       whether each plane of a night stays on the ground for the 7 days after it
-- grain:      one row per plane and night: tailnum
-- parameters: night (calendar day in New York), interval_end (its end, UTC)
select
    tailnum,
    count(*) filter (where time_hour >= :interval_end) = 0 as grounded
from flights
where time_hour >= :interval_end - interval '28 days'
  and time_hour < :interval_end + interval '7 days'
  and dep_time is not null
  and tailnum is not null
  and :night <= date '2013-12-24'  -- the flights end with the year
group by tailnum
having min(time_hour) < :interval_end
