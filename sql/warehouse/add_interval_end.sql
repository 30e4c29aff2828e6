-- what:       adds the column of an end of the interval to the history of a job that has got an interval
-- parameters: table, column (identifiers, validated)
alter table {table} add column {column} double precision
