-- what:       the server does not end this session for being idle, in a transaction or not, nor for a long transaction; it
--             notices within two minutes when the other end of the session is gone without a word
-- parameters: none
select set_config(name, wanted, false)
from (values
    ('idle_session_timeout', '0'),
    ('idle_in_transaction_session_timeout', '0'),
    ('transaction_timeout', '0'),
    ('tcp_keepalives_idle', '60'),
    ('tcp_keepalives_interval', '10'),
    ('tcp_keepalives_count', '6')
) as settings (name, wanted)
join pg_settings using (name)
