-- name: find_receipts
-- The receipts that stand under these ids, whoever wrote them.
select day, id, caller, method, args_hash, outcome, events::text as events, seq, at
from rowcall.receipts
where (day, id) in (select * from unnest(:days::date[], :ids::uuid[]));

-- name: store_receipt
-- The receipt of a story, or of an error that rolled its effect back.
insert into rowcall.receipts (day, id, caller, method, args_hash, deadline, outcome, events, seq)
values (
    :_day::date, :_id::uuid, :_caller::text, :_method::text, :_args_hash::bytea, :_deadline::timestamptz,
    :outcome::text, :events::jsonb,
    case
        when :events::jsonb is not null and pg_current_xact_id() is not null then nextval('rowcall.event_seq')
    end
)
returning outcome, events::text as events, seq, at;

-- name: fence_receipt
-- Forbid this id to run from now on, unless it already has. Waits for a run that is committing right now.
-- What cannot run any more cannot be replayed: with it end its dead letters, the caller's `own`, or `all`; or `none`,
-- where another id takes its place.
with fence as (
    insert into rowcall.receipts (day, id, caller, method, args_hash, deadline, outcome)
    values (
        :_day::date, :_id::uuid, :_caller::text, :_method::text, :_args_hash::bytea, 'infinity', :outcome::text
    )
    on conflict (day, id) do nothing
    returning id
)

update rowcall.dead_letters as l
set state = 'fenced'
where
    (l.id = :_id::uuid or l.replay_id = :_id::uuid)
    and l.state in ('open', 'replaying')
    and (:letters::text = 'all' or (:letters::text = 'own' and l.caller = :_caller::text))
    and exists (select 1 from fence);

-- name: find_outcome
-- What stands under an id, whoever wrote it: its receipt, and the dead letters that have it or are replayed under it.
-- These have a state and no outcome, the word of their receipt where that has settled them, and the id under which
-- their call goes on, where that is another.
select r.caller, r.method, r.outcome, null as state, null as word, null as heir
from rowcall.receipts as r
where r.day = :day::date and r.id = :id::uuid
union all
select
    l.caller,
    l.method,
    null as outcome,
    l.state,
    l.outcome as word,
    case
        when l.replay_id <> :id::uuid then l.replay_id::text
        when l.state = 'replaced' then (
            select h.id::text
            from rowcall.dead_letters as h
            where h.parent = l.number
            order by h.number desc
            limit 1
        )
    end as heir
from rowcall.dead_letters as l
where l.id = :id::uuid or l.replay_id = :id::uuid;

-- name: delete_other_ids
-- Forget receipts of ids without a day of their own, once they are past the retention and their events are recorded.
with deleted as (
    delete from rowcall.receipts_other_ids as o
    using rowcall.relay as r
    where o.at < :before::timestamptz and (o.events is null or o.seq <= r.position)
    returning o.seq
)

update rowcall.relay as r
set forgotten = d.seq
from (select max(seq) as seq from deleted) as d
where d.seq > r.forgotten;

-- name: forget_up_to
-- Note that receipts up to this number are dropped; no row where the record of events has not come so far.
update rowcall.relay
set forgotten = greatest(forgotten, :newest::bigint)
where position >= :newest::bigint
returning true as noted;

-- name: list_partitions
-- The days that have a partition, in order.
select c.relname as name
from pg_catalog.pg_inherits as i
inner join pg_catalog.pg_class as c on i.inhrelid = c.oid
where i.inhparent = 'rowcall.receipts'::regclass
order by c.relname;
