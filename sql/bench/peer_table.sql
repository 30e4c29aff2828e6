-- what:  the predictions of one peer, anew; {table} is its name
-- grain: one row per scheduled flight: (time_hour, carrier, flight, origin)
drop table if exists {table};
create table {table} (
    time_hour timestamptz not null,
    carrier text not null,
    flight bigint not null,
    origin text not null,
    prediction boolean not null,
    probability double precision not null
);
