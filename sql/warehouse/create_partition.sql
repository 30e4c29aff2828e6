-- what:       a table with a history table's columns, defaults, comments and indexes
-- parameters: identifiers, checked by the caller (DDL takes no bound parameters)
create table {child} (like {parent} including all);
