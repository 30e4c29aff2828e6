-- what:       makes an empty table the partition of a history table for a year or a month
-- parameters: identifiers and first nights, checked by the caller (DDL takes no bound parameters)
-- notes:      attaching locks out neither readers nor writers of the others
alter table {parent} attach partition {child} for values from ('{first}') to ('{until}');
