-- Who commits with synchronous_commit = off: a row for each role, database or server that has the
-- setting, with its name for people and the beginning of the statement that changes it.
-- No parameters.
--
-- The server's own setting counts only if no role or database overrides it for this session.
select coalesce('role ' || quote_ident(o.rolname), 'database ' || quote_ident(d.datname),
                'the server'),
       case
           when o.oid is not null then 'alter role ' || quote_ident(o.rolname)
           when d.oid is not null then 'alter database ' || quote_ident(d.datname)
           else 'alter system'
       end
  from pg_db_role_setting s
  left join pg_roles o on o.oid = s.setrole
  left join pg_database d on d.oid = s.setdatabase
 where 'synchronous_commit=off' = any(s.setconfig)
   and (s.setdatabase = 0 or d.datname = current_database())
union all
select 'the server', 'alter system'
  from pg_settings
 where name = 'synchronous_commit'
   and reset_val = 'off'
   and source not in ('database', 'user', 'database user');
