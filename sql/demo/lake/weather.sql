-- what:  hourly weather at the three airports
-- grain: one row per airport and hour
select *
from weather
