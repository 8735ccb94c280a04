-- Where the next step of a prune of the inbox begins: the row that stands so many behind a first
-- one. No row: that step was the last one.
--
-- ?1 and ?2: consumer and event id of the first row, ?3: so many rows.
select consumer, event_id
  from inbox
 where (consumer, event_id) >= (?1, ?2)
 order by consumer, event_id
 limit 1
offset ?3;
