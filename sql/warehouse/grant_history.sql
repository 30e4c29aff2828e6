-- what:       lets the writer load and remove predictions of one job
-- parameters: an identifier, checked by the caller (DDL takes no bound parameters)
grant select, insert, delete on {table} to nightshift_writer;
