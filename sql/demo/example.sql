-- what:       the carriers with the highest mean chance of delay on one night
-- grain:      one row per carrier
-- parameters: none
select
    carrier,
    count(*) as flights,
    round(avg(probability)::numeric, 3) as mean_chance_of_delay
from flight_delay_predictions
where night = '2013-04-03'
group by carrier
order by mean_chance_of_delay desc
limit 5
