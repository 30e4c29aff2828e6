-- what:  the aircraft register
-- grain: one row per tail number
select *
from planes
