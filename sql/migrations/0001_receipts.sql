-- Receipts: the proof that a write happened, its stored reply and its events, in the effect's own transaction.
create sequence rowcall.event_seq cache 1;

create table rowcall.receipts (
    -- The UTC day inside a UUIDv7; 1970-01-01 for every other id. The same id always lands in the same partition.
    day date not null,
    id uuid not null,
    caller text not null,
    method text not null,
    args_hash bytea not null,
    deadline timestamptz not null,
    at timestamptz not null default clock_timestamp(),
    -- The exact text that follows the id in the reply line: '"result":…}' or '"error":…}'.
    outcome text not null,
    events jsonb,
    -- Drawn after the effect's row locks, so it orders the events of each aggregate.
    seq bigint,
    constraint receipts_pkey primary key (day, id),
    -- A late effect cannot commit: this row would roll it back.
    constraint receipts_in_time check (at <= deadline),
    constraint receipts_outcome_fits check (octet_length(outcome) <= 262144)
) partition by range (day);

create index receipts_seq_idx on rowcall.receipts (seq) where events is not null;

create table rowcall.receipts_other_ids partition of rowcall.receipts
for values from ('1970-01-01') to ('1970-01-02');

-- Other ids carry no day of their own, so this partition is emptied by age instead of dropped.
create index receipts_other_ids_at_idx on rowcall.receipts_other_ids (at);
