-- name: try_lock_session
-- Hold this key until the session ends, unless somebody else does.
select pg_try_advisory_lock(hashtextextended(:key::text, 0));

-- name: find_record
-- What the database knows of the record, the last number that a receipt has drawn, and the call that has this one.
select
    r.generation::text as generation,
    r.history,
    r.forgotten,
    (select case when s.is_called then s.last_value else 0 end from rowcall.event_seq as s) as horizon,
    found.request_id
from rowcall.relay as r
left join lateral (
    select id::text as request_id
    from rowcall.receipts
    where events is not null and seq = :newest::bigint
    order by day
    limit 1
) as found on true;

-- name: note_horizon
-- The last number drawn; where that is new also a transaction id, which all who drew a number up to there got earlier.
-- Read out before the id is given: in the other order a number drawn in between would count as decided.
with noted as materialized (
    select case when is_called then last_value else 0 end as horizon
    from rowcall.event_seq
)

select horizon, case when horizon > :known::bigint then pg_current_xact_id()::text end as xid
from noted;

-- name: read_events
-- Receipts with events in the order of their numbers, once every transaction older than this id has ended: then each
-- number up to the horizon is visible or was rolled back. Always a row; it says whether that is so.
select s.decided, r.seq, r.id, r.method, r.at, r.events
from (select pg_snapshot_xmin(pg_current_snapshot()) >= :xid::text::xid8 as decided) as s
left join lateral (
    select seq, id::text as id, method, to_json(at)::text as at, events::text as events
    from rowcall.receipts
    where s.decided and events is not null and seq > :after::bigint and seq <= :horizon::bigint
    order by seq
    limit :receipts::bigint
) as r on true
order by r.seq;

-- name: find_rebuild
-- The newest receipt that does not fit into a record of so many entries, and its last event's place there.
-- scans: as many receipts as the record has entries, once, when it is built anew
select seq, jsonb_array_length(events) - 1 as n
from rowcall.receipts
where events is not null
order by seq desc
limit 1 offset :entries::bigint;

-- name: find_oldest_held
-- The first number whose events could be rebuilt, and in which generation.
select
    r.generation::text as generation,
    coalesce(held.seq, r.forgotten + 1) as seq
from rowcall.relay as r
left join lateral (
    select seq
    from rowcall.receipts
    where events is not null
    order by seq
    limit 1
) as held on true;

-- name: keep_position
-- How far the record has come.
update rowcall.relay
set position = :position::bigint, history = greatest(history, :position::bigint), halted = null
where position <> :position::bigint or halted is not null;

-- name: halt_relay
-- Why nothing is copied.
update rowcall.relay
set halted = :why::text
where halted is distinct from :why::text;

-- name: begin_generation
-- A new name for the record, which the relay then begins anew.
update rowcall.relay
set generation = gen_random_uuid(), position = 0, history = 0, halted = null
returning generation::text as generation;

-- name: find_lag
-- For how long the oldest event has been waiting for the record, in seconds; null where none waits.
select r.halted, extract(epoch from clock_timestamp() - w.at)::float8 as lag_s
from rowcall.relay as r
left join lateral (
    select at
    from rowcall.receipts
    where events is not null and seq > r.position
    order by seq
    limit 1
) as w on true;

-- name: find_oldest_transaction
-- Who has been writing for longest, in whichever database of the server: nothing is decided before they end.
select pid, name, state, age_s, of_database
from (
    select
        pid,
        application_name as name,
        state,
        extract(epoch from clock_timestamp() - xact_start)::float8 as age_s,
        datname as of_database,
        age(backend_xid) as old
    from pg_catalog.pg_stat_activity
    where backend_xid is not null and pid <> pg_backend_pid()
    union all
    select
        null as pid,
        gid as name,
        'prepared' as state,
        extract(epoch from clock_timestamp() - prepared)::float8 as age_s,
        database as of_database,
        age(transaction) as old
    from pg_catalog.pg_prepared_xacts
) as writing
order by old desc
limit 1;
