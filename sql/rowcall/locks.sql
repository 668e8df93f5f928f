-- name: lock_alone
-- Hold this key alone until the transaction ends.
select pg_advisory_xact_lock(hashtextextended(:key::text, 0));

-- name: lock_shared
-- Hold this key until the transaction ends, together with others who share it.
select pg_advisory_xact_lock_shared(hashtextextended(:key::text, 0));
