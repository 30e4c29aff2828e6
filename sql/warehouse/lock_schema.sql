-- what:       holds the lock for changing tables until the transaction ends
-- parameters: none
select pg_advisory_xact_lock(hashtext('nightshift schema'));
