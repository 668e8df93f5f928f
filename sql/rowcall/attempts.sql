-- name: find_attempts
-- Of the calls under these ids that workers were lost with, or may be lost with just now: how many were.
select id, caller, args_hash, count
from rowcall.attempts
where id = any(:ids::uuid[]);

-- name: note_losses
-- Note that a message was lost with the worker that had it; how many were, by now, with each of its calls. It counts
-- if its run had begun, and was not acquitted. First deliveries are not noted: of the messages that come again without
-- a run the first counts, and the id of zeros says that it did; the others may have been lost with the same worker, or
-- by the broker. Of reads each counts: mostly, a client sends a further one for nothing but a loss. The loss that would
-- be one too many counts only if a run that decides was lost: any other may have been beside whatever killed.
insert into rowcall.attempts as a (id, caller, args_hash, count, messages, lost, counted)
select distinct
    c.id,
    :caller::text as caller,
    c.args_hash,
    1 as count,
    array[:message::uuid, '00000000-0000-0000-0000-000000000000'] as messages,
    array[:message::uuid] as lost,
    array[:message::uuid] as counted
from unnest(:ids::uuid[], :digests::bytea[]) as c (id, args_hash)
order by c.id, c.args_hash
on conflict (id, caller, args_hash) do update
    set
        (count, counted) = ( -- noqa: disable=RF01
            select
                a.count + case when l.counts then 1 else 0 end as count,
                case when l.counts then a.counted || excluded.counted else a.counted end as counted
            from (
                select case
                    when :message::uuid = any(a.acquitted) and a.forgiven < :forgiven::int8 then false
                    when a.count >= :most::int8 - 1 and not (a.decided or :message::uuid = any(a.deciding)) then false
                    when :message::uuid = any(a.running) then true
                    when :message::uuid = any(a.messages) then false
                    when '00000000-0000-0000-0000-000000000000' = any(a.messages) and not :each::boolean then false
                    else true
                end as counts
            ) as l
        ), -- noqa: enable=RF01
        lost = a.lost || excluded.lost,
        messages = case when :message::uuid = any(a.messages) then a.messages else a.messages || excluded.messages end,
        running = array_remove(a.running, :message::uuid),
        deciding = array_remove(a.deciding, :message::uuid),
        decided = a.decided or (:message::uuid = any(a.deciding) and :message::uuid = any(a.running)),
        acquitted = array_remove(a.acquitted, :message::uuid),
        forgiven = least(a.forgiven + case when :message::uuid = any(a.acquitted) then 1 else 0 end, :forgiven::int8),
        at = clock_timestamp()
returning a.id, a.caller, a.args_hash, a.count;

-- name: begin_runs
-- Note that calls of one message begin to run, before they do, and whether that decides; unless so many workers were
-- lost with a call that it may not: lost for certain, or in doubt because a copy of it is running. How many of each,
-- the present run left out; how many of its other messages something is noted of; and how many losses of this one
-- are noted, and count: those of workers that had it before.
insert into rowcall.attempts as a (id, caller, args_hash, count, messages, running, deciding)
select distinct
    c.id,
    :caller::text as caller,
    c.args_hash,
    0 as count,
    array[:message::uuid] as messages,
    array[:message::uuid] as running,
    case when :decides::boolean then array[:message::uuid] else '{}' end as deciding
from unnest(:ids::uuid[], :digests::bytea[]) as c (id, args_hash)
order by c.id, c.args_hash
on conflict (id, caller, args_hash) do update
    set
        messages = case when :message::uuid = any(a.messages) then a.messages else a.messages || excluded.messages end,
        running = array_remove(a.running, :message::uuid) || case
            when a.count + cardinality(array_remove(a.running, :message::uuid)) < :most::int8 then excluded.running
            else '{}'
        end,
        deciding = array_remove(a.deciding, :message::uuid) || excluded.deciding,
        acquitted = array_remove(a.acquitted, :message::uuid),
        at = clock_timestamp()
returning
    a.id, a.caller, a.args_hash, a.count,
    cardinality(array_remove(a.running, :message::uuid))::int8 as copies,
    cardinality(
        array_remove(array_remove(a.messages, :message::uuid), '00000000-0000-0000-0000-000000000000')
    )::int8 as known,
    cardinality(array_positions(a.lost, :message::uuid))::int8 as lost,
    cardinality(array_positions(a.counted, :message::uuid))::int8 as counted;

-- name: end_runs
-- Their run has ended, and its worker lives.
with ended as (
    select
        a.id,
        a.caller,
        a.args_hash
    from rowcall.attempts as a
    where (a.id, a.args_hash) in (select * from unnest(:ids::uuid[], :digests::bytea[])) and a.caller = :caller::text
    order by a.id, a.args_hash
    for update
)

update rowcall.attempts as a
set
    running = array_remove(a.running, :message::uuid),
    deciding = array_remove(a.deciding, :message::uuid),
    acquitted = array_remove(a.acquitted, :message::uuid)
from ended as e
where a.id = e.id and a.caller = e.caller and a.args_hash = e.args_hash;

-- name: live_on
-- Their worker has lost its connection to the broker, so others get their messages; but it lives, and they go on. If
-- another has noted their loss since they began, that is taken back, and what is noted of their messages now is of that
-- one's run; if not, what is noted of them ends.
with alive as (
    select
        a.id,
        a.caller,
        a.args_hash,
        cardinality(array_positions(a.counted, :message::uuid)) as counted,
        case when cardinality(array_positions(a.counted, :message::uuid)) > b.counted then 1 else 0 end as taken_back,
        case when cardinality(array_positions(a.lost, :message::uuid)) = b.lost then :message::uuid end as ended
    from
        unnest(:ids::uuid[], :digests::bytea[], :lost::int8[], :counted::int8[]) as b (id, args_hash, lost, counted)
    inner join rowcall.attempts as a on b.id = a.id and b.args_hash = a.args_hash and a.caller = :caller::text
    order by a.id, a.args_hash
    for update of a
)

update rowcall.attempts as a
set
    count = a.count - e.taken_back,
    counted = array_remove(a.counted, :message::uuid) || array_fill(:message::uuid, array[e.counted - e.taken_back]),
    decided = a.decided and not (e.taken_back > 0 and :decides::boolean),
    running = array_remove(a.running, e.ended),
    deciding = array_remove(a.deciding, e.ended),
    acquitted = array_remove(a.acquitted, e.ended)
from alive as e
where a.id = e.id and a.caller = e.caller and a.args_hash = e.args_hash;

-- name: acquit_runs
-- They have run for a while, and their worker lives: should it be lost later, that does not count, unless so many were
-- forgiven already. Until then copies wait for them as for any that run.
update rowcall.attempts as a
set
    deciding = array_remove(a.deciding, :message::uuid),
    acquitted = array_remove(a.acquitted, :message::uuid) || :message::uuid
where
    (a.id, a.args_hash) in (select * from unnest(:ids::uuid[], :digests::bytea[]))
    and a.caller = :caller::text
    and :message::uuid = any(a.running)
    and a.forgiven < :forgiven::int8;

-- name: delete_attempts
-- Forget those of calls that were not delivered again since.
delete from rowcall.attempts
where at < :before::timestamptz;
