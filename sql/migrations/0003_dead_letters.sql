-- Dead letters: calls that failed and are kept, to be found, understood and run again.
create table rowcall.dead_letters (
    -- For people; programs know a letter by its id.
    number bigint generated always as identity,
    -- The call's request id, or one made of what its message was marked with.
    id uuid not null,
    caller text not null,
    -- Of the call's method and arguments; of all its bytes where they could not be read.
    args_hash bytea not null,
    routing_key text not null,
    method text not null,
    reason text not null,
    -- The error's class and words, with everything secret struck out.
    error text not null,
    -- The same for letters of one cause: method, error and the traceback's functions.
    fingerprint text not null,
    attempts bigint not null,
    first_at timestamptz not null,
    last_at timestamptz not null,
    worker text not null,
    state text not null default 'open',
    -- Sealed: the call's own bytes, and the traceback.
    body bytea not null,
    traceback bytea not null,
    -- The id under which it is replayed, where that cannot be its own.
    replay_id uuid,
    replays bigint not null default 0,
    replayed_at timestamptz,
    -- What the last replay came to: done, or the error's word.
    outcome text,
    -- The letter this one was made of, by changing an argument.
    parent bigint,
    constraint dead_letters_pkey primary key (number),
    constraint dead_letters_call_key unique (id, caller, args_hash),
    constraint dead_letters_parent_fkey foreign key (parent) references rowcall.dead_letters (number)
    on delete set null,
    constraint dead_letters_reason_known check (
        reason in ('malformed', 'internal', 'poison', 'exhausted', 'expired')
    ),
    -- open: waits for somebody. replaying: sent, and not heard of yet. resolved: its id has a receipt. fenced: may
    -- never run. discarded: nobody wants it. replaced: another letter was made of it.
    constraint dead_letters_state_known check (
        state in ('open', 'replaying', 'resolved', 'fenced', 'discarded', 'replaced')
    )
);

create index dead_letters_state_idx on rowcall.dead_letters (state, number);
create index dead_letters_fingerprint_idx on rowcall.dead_letters (fingerprint, number);
create index dead_letters_method_idx on rowcall.dead_letters (method, number);
create index dead_letters_last_at_idx on rowcall.dead_letters (last_at);
create index dead_letters_replay_id_idx on rowcall.dead_letters (replay_id) where replay_id is not null;
create index dead_letters_parent_idx on rowcall.dead_letters (parent) where parent is not null;

-- Who did what to dead letters. Rows are only ever added.
create table rowcall.audit (
    number bigint generated always as identity,
    at timestamptz not null default clock_timestamp(),
    actor text not null,
    action text not null,
    -- The letter it was done to; null for what was done to many at once.
    letter bigint,
    details jsonb not null,
    constraint audit_pkey primary key (number)
);

create index audit_letter_idx on rowcall.audit (letter, number) where letter is not null;

-- The partition in which an id's receipt would stand: the UTC day inside a UUIDv7, or that of all other ids.
create function rowcall.receipt_day(id uuid) returns date
language sql immutable parallel safe
return case
    when id::text !~ '^.{14}7.{4}[89ab]' then '1970-01-01'::date
    else (
        to_timestamp(('x' || substr(id::text, 1, 8) || substr(id::text, 10, 4))::bit(48)::bigint / 1000.0)
        at time zone 'UTC'
    )::date
end;

-- A receipt's outcome in one word: done, or the error's.
create function rowcall.outcome_word(outcome text) returns text
language sql immutable parallel safe
return case when outcome like '"result"%' then 'done' else substring(outcome from '^"error": *"(\w+)"') end;

create function rowcall.refuse_change() returns trigger language plpgsql as $$
begin
    raise exception 'rowcall.audit only grows: nothing in it is changed or deleted';
end
$$;

create trigger audit_only_grows before update or delete or truncate on rowcall.audit
for each statement execute function rowcall.refuse_change();
