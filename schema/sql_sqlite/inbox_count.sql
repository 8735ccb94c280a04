-- Counts the claims that inbox_prune.sql would remove; ?1 to ?5 as there.
select count(*)
  from inbox
 where (consumer, event_id) in
       (select consumer, event_id
          from inbox
         where (consumer, event_id) >= (?1, ?2)
         order by consumer, event_id
         limit ?3)
   and received_at < strftime('%Y-%m-%dT%H:%M:%fZ', julianday('now') - ?4 / 86400000000.0)
   and (?5 is null or consumer = ?5);
