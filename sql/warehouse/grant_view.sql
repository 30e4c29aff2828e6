-- what:       lets analysts and the writer read one view
-- parameters: an identifier, checked by the caller (DDL takes no bound parameters)
grant select on {view} to nightshift_analyst, nightshift_writer;
