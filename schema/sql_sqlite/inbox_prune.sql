-- Removes from the inbox the claims that are old enough, among the next rows in the order of the
-- key. A step reads no more than that, so that other writers wait for a short time only. Read in
-- relay/cli/prune_inbox.c.
--
-- ?1 and ?2: consumer and event id of the first row, ?3: so many rows, ?4: how old a claim must be,
-- in microseconds, ?5: of this consumer only; null: of all.
delete from inbox
 where (consumer, event_id) in
       (select consumer, event_id
          from inbox
         where (consumer, event_id) >= (?1, ?2)
         order by consumer, event_id
         limit ?3)
   and received_at < strftime('%Y-%m-%dT%H:%M:%fZ', julianday('now') - ?4 / 86400000000.0)
   and (?5 is null or consumer = ?5);
