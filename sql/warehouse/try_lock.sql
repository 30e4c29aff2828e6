-- what:       the lock's name if nobody else holds it, and it is held until the transaction ends; no row if somebody does
-- parameters: name
select name from locks where name = :name for update skip locked
