-- what:       makes an empty table the partition of a history table for one month
-- parameters: identifiers and month ends, checked by the caller (DDL takes no bound parameters)
-- notes:      attaching locks out neither readers nor writers of the other months
alter table {parent} attach partition {child} for values from ('{first}') to ('{until}');
