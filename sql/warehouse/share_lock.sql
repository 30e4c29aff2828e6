-- what:       holds a lock, beside others who hold it like this, until the transaction ends
-- parameters: name
select name from locks where name = :name for share
