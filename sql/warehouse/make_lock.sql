-- what:       a lock's row, unless it is there
-- parameters: name
insert into locks (name) values (:name) on conflict (name) do nothing
