-- what:  one login role and one database each for Airflow, the model registry, the warehouse and the demo source
-- grain: runs once, as superuser, when the postgres image of docker-compose.yml starts on an empty volume
-- notes: a psql script; passwords come from the container's secret files, which the service secrets has checked

\set airflow_password `cat /run/secrets/airflow_db_password`
\set registry_password `cat /run/secrets/registry_db_password`
\set warehouse_password `cat /run/secrets/warehouse_db_password`
\set analyst_password `cat /run/secrets/analyst_db_password`
\set source_password `cat /run/secrets/source_db_password`

create role airflow login password :'airflow_password';
create role registry login password :'registry_password';
create role warehouse login password :'warehouse_password';
create role source login password :'source_password';

-- The two group roles that the warehouse's migrations grant rights to, so that its owner need not create roles.
create role nightshift_writer nologin;
create role nightshift_analyst nologin;
create role analyst login password :'analyst_password' in role nightshift_analyst connection limit 20;

-- As a migration does for the embedded login. The role may change time-outs in its own sessions, but not the room, which only a
-- superuser may set.
alter role analyst set default_transaction_read_only = 'on';
alter role analyst set statement_timeout = '15min';
alter role analyst set idle_in_transaction_session_timeout = '5min';
alter role analyst set lock_timeout = '10s';
alter role analyst set temp_file_limit = '10GB';

-- Who is no superuser makes databases only for roles whose member it is.
grant airflow, registry, warehouse, source to current_user;
create database airflow owner airflow;
create database registry owner registry;
create database warehouse owner warehouse;
create database source owner source;

revoke connect, temporary on database airflow, registry, warehouse, source from public;
revoke connect, temporary on database postgres, template1 from public;
grant connect on database warehouse to nightshift_writer, nightshift_analyst;

\connect warehouse
\ir restrict_database.sql
