-- name: keep_dead_letter
-- Keep a letter, or renew what is kept of its call. The very same letter, delivered again, changes nothing: its call
-- failed at the same moment.
insert into rowcall.dead_letters as l (
    id, caller, args_hash, routing_key, method, reason, error, fingerprint, attempts, first_at, last_at, worker,
    body, traceback
)
values (
    :id::uuid, :caller::text, :args_hash::bytea, :routing_key::text, :method::text, :reason::text, :error::text,
    :fingerprint::text, :attempts::bigint, :first_at::timestamptz, :last_at::timestamptz, :worker::text,
    :body::bytea, :traceback::bytea
)
on conflict on constraint dead_letters_call_key do update set
    reason = excluded.reason,
    error = excluded.error,
    fingerprint = excluded.fingerprint,
    attempts = l.attempts + excluded.attempts,
    first_at = least(l.first_at, excluded.first_at),
    last_at = greatest(l.last_at, excluded.last_at),
    worker = excluded.worker,
    traceback = excluded.traceback,
    state = case when l.state = 'replaced' then l.state else 'open' end
where l.last_at <> excluded.last_at;

-- name: own_ids
-- Under which ids those letters are kept that were replayed under these.
select replay_id, id, caller
from rowcall.dead_letters
where replay_id = any(:ids::uuid[]);

-- name: settle_dead_letters
-- Letters of these ids end where their id has the receipt of the same call: it ran, or may never run. A fence binds
-- everybody, whoever wrote it; any other receipt of another caller or with other arguments is another call's.
update rowcall.dead_letters as l set
    state = case when starts_with(r.outcome, :fence::text) then 'fenced' else 'resolved' end,
    outcome = rowcall.outcome_word(r.outcome)
from rowcall.receipts as r
where
    l.id = any(:ids::uuid[]) and l.state in ('open', 'replaying')
    and r.day = rowcall.receipt_day(coalesce(l.replay_id, l.id)) and r.id = coalesce(l.replay_id, l.id)
    and ((r.caller = l.caller and r.args_hash = l.args_hash) or starts_with(r.outcome, :fence::text));

-- name: settle_all_dead_letters
-- The same for every letter that waits.
update rowcall.dead_letters as l set
    state = case when starts_with(r.outcome, :fence::text) then 'fenced' else 'resolved' end,
    outcome = rowcall.outcome_word(r.outcome)
from rowcall.receipts as r
where
    l.state in ('open', 'replaying')
    and r.day = rowcall.receipt_day(coalesce(l.replay_id, l.id)) and r.id = coalesce(l.replay_id, l.id)
    and ((r.caller = l.caller and r.args_hash = l.args_hash) or starts_with(r.outcome, :fence::text));

-- name: delete_dead_letters
-- Forget the letters whose calls last failed before this moment.
delete from rowcall.dead_letters
where last_at < :before::timestamptz;

-- name: list_sealed
-- What is sealed of the next letters, in the order of their numbers, and the last number there is.
select l.number, l.id, l.body, l.traceback, (select max(m.number) from rowcall.dead_letters as m) as last
from rowcall.dead_letters as l
where l.number > :after::bigint
order by l.number
limit :rows::int;

-- name: reseal_dead_letter
-- Put what is sealed anew in the place of what it was made of, unless that was renewed meanwhile.
update rowcall.dead_letters
set body = :body::bytea, traceback = :traceback::bytea
where number = :number::bigint and body = :old_body::bytea and traceback = :old_traceback::bytea;
