-- Runs of calls whose messages were delivered again: a call that takes its worker down each time is not run for ever.
create table rowcall.attempts (
    id uuid not null,
    caller text not null,
    args_hash bytea not null,
    -- How often this very call began to run on a second or later delivery, and was not seen to end.
    count bigint not null,
    -- Names the run that was counted last: it is counted once, though it may not hear so and ask again.
    run uuid not null,
    at timestamptz not null default clock_timestamp(),
    constraint attempts_pkey primary key (id, caller, args_hash)
);

create index attempts_at_idx on rowcall.attempts (at);
