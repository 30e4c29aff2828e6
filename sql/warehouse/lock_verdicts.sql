-- what:       makes other transactions that judge nights of a job wait until this one ends
-- parameters: job
select pg_advisory_xact_lock(hashtextextended('verdicts ' || :job, 0))
