create schema accounts;

create table accounts.accounts (
    account_id text not null,
    owner text not null,
    balance bigint not null default 0,
    opened_at timestamptz not null default clock_timestamp(),
    constraint accounts_pkey primary key (account_id),
    constraint accounts_balance_not_negative check (balance >= 0)
);

create table accounts.entries (
    entry_id bigint generated always as identity,
    account_id text not null,
    amount bigint not null,
    balance bigint not null,
    note text not null,
    made_at timestamptz not null default clock_timestamp(),
    constraint entries_pkey primary key (account_id, entry_id),
    constraint entries_account_id_fkey foreign key (account_id) references accounts.accounts (account_id),
    constraint entries_amount_not_zero check (amount <> 0)
);
