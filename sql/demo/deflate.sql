-- what:       removes the copies that inflate.sql made of a night
-- parameters: interval_start, interval_end (UTC, half-open)
delete from flights
where time_hour >= :interval_start
  and time_hour < :interval_end
  and flight >= 10000;
