-- name: find_attempts
-- Which calls under these ids began to run on a second or later delivery, and were not seen to end.
select id, caller, args_hash
from rowcall.attempts
where id = any(:ids::uuid[]);

-- name: count_attempt
-- Note that a call begins to run, before it does; how often it has by now. The same run counts once.
insert into rowcall.attempts as a (id, caller, args_hash, count, run)
values (:_id::uuid, :_caller::text, :_args_hash::bytea, 1, :run::uuid)
on conflict (id, caller, args_hash) do update
    set
        count = a.count + case when a.run = excluded.run then 0 else 1 end,
        run = excluded.run,
        at = clock_timestamp()
returning a.count;

-- name: forget_attempts_of
-- Its run has ended, and its worker lives: whatever it came to, it does not take workers down.
delete from rowcall.attempts
where id = :_id::uuid and caller = :_caller::text and args_hash = :_args_hash::bytea;

-- name: delete_attempts
-- Forget those of calls that were not delivered again since.
delete from rowcall.attempts
where at < :before::timestamptz;
