-- name: find_letters
-- The numbers of the letters that somebody means, oldest first. What is null does not matter.
-- scans: whoever searches looks at every letter once
select number
from rowcall.dead_letters
where
    (:numbers::bigint[] is null or number = any(:numbers::bigint[]))
    and (:method::text is null or method like :method::text)
    and (:reason::text is null or reason = :reason::text)
    and (:error::text is null or strpos(lower(error), lower(:error::text)) > 0)
    and (:fingerprint::text is null or starts_with(fingerprint, :fingerprint::text))
    and (:states::text[] is null or state = any(:states::text[]))
    and (:caller::text is null or caller = :caller::text)
    and (:id::uuid is null or id = :id::uuid or replay_id = :id::uuid)
    and (:older_than::interval is null or last_at < clock_timestamp() - :older_than::interval)
    and (:newer_than::interval is null or last_at > clock_timestamp() - :newer_than::interval)
order by number;

-- name: read_letters
-- These letters, whole, oldest first; `heir` is the one that another was replaced by.
select
    l.number, l.id, l.caller, l.args_hash, l.routing_key, l.method, l.reason, l.error, l.fingerprint, l.attempts,
    l.first_at, l.last_at, l.worker, l.state, l.body, l.traceback, l.replay_id, l.replays, l.replayed_at, l.outcome,
    l.parent,
    (
        select max(h.number)
        from rowcall.dead_letters as h
        where h.parent = l.number
    ) as heir
from rowcall.dead_letters as l
where l.number = any(:numbers::bigint[])
order by l.number;

-- name: group_letters
-- These letters by cause, those with most of them first; what is told of a cause is its newest letter's.
select g.fingerprint, g.letters as count, g.first_at, g.last_at, l.method, l.reason, l.error, g.sample
from (
    select
        fingerprint, count(*) as letters, min(first_at) as first_at, max(last_at) as last_at, max(number) as sample
    from rowcall.dead_letters
    where number = any(:numbers::bigint[])
    group by fingerprint
) as g
inner join rowcall.dead_letters as l on g.sample = l.number
order by g.letters desc, g.sample desc;

-- name: receipts_of_letters
-- What stands under the ids these letters would run under, and whether it is of the same call.
select
    l.number,
    r.caller = l.caller and r.args_hash = l.args_hash as same_call,
    case when starts_with(r.outcome, :fence::text) then r.outcome end as fence,
    rowcall.outcome_word(r.outcome) as word
from rowcall.dead_letters as l
inner join rowcall.receipts as r
    on
        rowcall.receipt_day(coalesce(l.replay_id, l.id)) = r.day
        and coalesce(l.replay_id, l.id) = r.id
where l.number = any(:numbers::bigint[]);

-- name: claim_letter
-- Note that a letter is about to be sent, under which id, and by whom; no row where it is not to be sent any more. It
-- gets a fresh id only if it still has the one that was found too old: who comes second sends it under the same.
-- Whoever sends it again means it to run: how often it took its worker down is forgotten.
with claimed as (
    update rowcall.dead_letters set
        state = 'replaying',
        replays = replays + 1,
        replayed_at = clock_timestamp(),
        outcome = null,
        replay_id = case
            when replay_id is not distinct from :known_id::uuid then coalesce(:fresh_id::uuid, replay_id)
            else replay_id
        end
    where number = :number::bigint and state in ('open', 'replaying') and replays < :max_replays::bigint
    returning number, id, caller, args_hash, replay_id, replays
),

afresh as (
    delete from rowcall.attempts as a
    using claimed as c
    where a.id = coalesce(c.replay_id, c.id) and a.caller = c.caller and a.args_hash = c.args_hash
),

noted as (
    insert into rowcall.audit (actor, action, letter, details)
    select
        :actor::text as actor,
        'replay' as action,
        c.number,
        jsonb_build_object('replay', c.replays, 'id', coalesce(c.replay_id, c.id)) as details
    from claimed as c
)

select coalesce(replay_id, id) as run_id from claimed;

-- name: settle_letter
-- What a replay came to. A receipt is believed before its answer; who settled the letter otherwise meanwhile is right.
update rowcall.dead_letters as l set
    state = case when l.state in ('open', 'replaying') then s.state else l.state end,
    outcome = :outcome::text
from (
    select
        d.number,
        coalesce(
            (
                select case when starts_with(r.outcome, :fence::text) then 'fenced' else 'resolved' end
                from rowcall.receipts as r
                where
                    r.day = rowcall.receipt_day(coalesce(d.replay_id, d.id)) and r.id = coalesce(d.replay_id, d.id)
                    and ((r.caller = d.caller and r.args_hash = d.args_hash) or starts_with(r.outcome, :fence::text))
            ),
            :state::text
        ) as state
    from rowcall.dead_letters as d
    where d.number = :number::bigint
) as s
where l.number = s.number
returning l.state;

-- name: discard_letters
-- Nobody wants these any more, and says so.
with discarded as (
    update rowcall.dead_letters set state = 'discarded'
    where number = any(:numbers::bigint[]) and state in ('open', 'replaying')
    returning number
),

noted as (
    insert into rowcall.audit (actor, action, letter, details)
    select :actor::text as actor, 'discard' as action, d.number, jsonb_build_object('why', :why::text) as details
    from discarded as d
)

select number
from discarded
order by number;

-- name: lock_letter
-- A letter whose place another is to take.
select state
from rowcall.dead_letters
where number = :number::bigint
for update;

-- name: replace_letter
-- Another letter was made of it.
update rowcall.dead_letters set state = 'replaced'
where number = :number::bigint;

-- name: add_letter
-- Keep a letter that did not come from a worker, unless its call is kept already.
insert into rowcall.dead_letters (
    id, caller, args_hash, routing_key, method, reason, error, fingerprint, attempts, first_at, last_at, worker, state,
    body, traceback, replay_id, replays, replayed_at, outcome, parent
)
values (
    :id::uuid, :caller::text, :args_hash::bytea, :routing_key::text, :method::text, :reason::text, :error::text,
    :fingerprint::text, :attempts::bigint, :first_at::timestamptz, :last_at::timestamptz, :worker::text, :state::text,
    :body::bytea, :traceback::bytea, :replay_id::uuid, :replays::bigint, :replayed_at::timestamptz, :outcome::text,
    :parent::bigint
)
on conflict on constraint dead_letters_call_key do nothing
returning number;

-- name: note_deed
-- Who did what, to one letter or to many.
insert into rowcall.audit (actor, action, letter, details)
values (:actor::text, :action::text, :letter::bigint, :details::jsonb);

-- name: deeds_of_letter
-- What was done to a letter, oldest first.
select at, actor, action, details
from rowcall.audit
where letter = :letter::bigint
order by number;
