-- what:       the table of locks, unless it is there; a lock is a row of it that a transaction has locked
-- parameters: none
create table if not exists locks (name text primary key)
