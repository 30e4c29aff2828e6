-- what:  the flights with the night, a calendar day in New York, that each is of
-- grain: one row per scheduled flight
select
    *,
    (time_hour at time zone 'America/New_York')::date as night
from flights
