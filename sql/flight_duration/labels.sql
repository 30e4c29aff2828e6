-- what:       how long each flight was in the air
-- grain:      one row per flight with an outcome; cancelled and diverted flights have none
-- parameters: interval_start, interval_end (UTC, half-open)
select
    time_hour,
    carrier,
    flight,
    origin,
    air_time
from flights
where time_hour >= :interval_start
  and time_hour < :interval_end
  and air_time is not null
