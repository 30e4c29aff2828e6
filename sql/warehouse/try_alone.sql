-- what:       whether nobody else holds a lock; if so, it is held until the session ends, which the server does not end for
--             being idle
-- parameters: name
select
    set_config('idle_session_timeout', '0', false),
    pg_try_advisory_lock(hashtextextended(:name, 0)) as alone
