-- name: get_account
-- The account as it stands.
select account_id, owner, balance, opened_at
from accounts.accounts
where account_id = :account_id;

-- name: list_entries
-- The ledger of one account, newest first.
select entry_id, account_id, amount, balance, note, made_at
from accounts.entries
where account_id = :account_id
order by entry_id desc
limit :limit;

-- name: open_account
-- A new account, unless the id is taken: then nothing changes.
with opened as (
    insert into accounts.accounts (account_id, owner)
    values (:account_id, :owner)
    on conflict (account_id) do nothing
    returning account_id, owner, balance, opened_at
),

reply as (
    select
        o.account_id,
        o.owner,
        o.balance,
        o.opened_at,
        case
            when o.account_id is null then jsonb_build_object(
                'error', 'Conflict',
                'message', format('account %s exists already', :account_id),
                'details', jsonb_build_object('account_id', :account_id)
            )
        end as error,
        case
            when o.account_id is not null then jsonb_build_array(jsonb_build_object(
                'type', 'AccountOpened', 'aggregate', 'account', 'aggregate_id', o.account_id,
                'data', jsonb_build_object('owner', o.owner)
            ))
        end as events
    from (values (1)) as one (row)
    left join opened as o on true
)

select * from reply;

-- name: deposit
-- Locks the account, books the amount, and tells the new balance.
with current as (
    select account_id
    from accounts.accounts
    where account_id = :account_id
    for update
),

changed as (
    update accounts.accounts as a
    set balance = a.balance + :amount::bigint
    from current as c
    where a.account_id = c.account_id
    returning a.account_id, a.balance
),

entry as (
    insert into accounts.entries (account_id, amount, balance, note)
    select ch.account_id, :amount::bigint, ch.balance, :note from changed as ch
    returning balance
),

reply as (
    select
        e.balance as result,
        case
            when e.balance is null then jsonb_build_object(
                'error', 'NotFoundError',
                'message', format('there is no account %L', :account_id),
                'details', jsonb_build_object('account_id', :account_id)
            )
        end as error,
        case
            when e.balance is not null then jsonb_build_array(jsonb_build_object(
                'type', 'Deposited', 'aggregate', 'account', 'aggregate_id', :account_id,
                'data', jsonb_build_object('amount', :amount::bigint, 'balance', e.balance)
            ))
        end as events
    from (values (1)) as one (row)
    left join entry as e on true
)

select * from reply;

-- name: withdraw
-- Locks the account, judges what is in it, books the amount, and tells what is left.
with current as (
    select account_id, balance
    from accounts.accounts
    where account_id = :account_id
    for update
),

changed as (
    update accounts.accounts as a
    set balance = a.balance - :amount::bigint
    from current as c
    where a.account_id = c.account_id and c.balance >= :amount::bigint
    returning a.account_id, a.balance
),

entry as (
    insert into accounts.entries (account_id, amount, balance, note)
    select ch.account_id, -:amount::bigint, ch.balance, :note from changed as ch
    returning balance
),

reply as (
    select
        e.balance as result,
        case
            when c.account_id is null
                then
                    jsonb_build_object(
                        'error', 'NotFoundError',
                        'message', format('there is no account %L', :account_id),
                        'details', jsonb_build_object('account_id', :account_id)
                    )
            when e.balance is null then jsonb_build_object(
                'error', 'InsufficientCredits',
                'message', format('balance %s is below the amount %s (cents)', c.balance, :amount::bigint),
                'details', jsonb_build_object('balance', c.balance, 'cost', :amount::bigint)
            )
        end as error,
        case
            when e.balance is not null then jsonb_build_array(jsonb_build_object(
                'type', 'Withdrawn', 'aggregate', 'account', 'aggregate_id', :account_id,
                'data', jsonb_build_object('amount', :amount::bigint, 'balance', e.balance)
            ))
        end as events
    from (values (1)) as one (row)
    left join current as c on true
    left join entry as e on true
)

select * from reply;

-- name: lock_two
-- Both accounts of a transfer, locked in the order of their ids.
select account_id, owner, balance, opened_at
from accounts.accounts
where account_id = any(:ids::text[])
order by account_id
for update;

-- name: book
-- Change one account by this amount and note it in the ledger; the new balance.
with changed as (
    update accounts.accounts
    set balance = balance + :change::bigint
    where account_id = :account_id
    returning account_id, balance
)

insert into accounts.entries (account_id, amount, balance, note)
select ch.account_id, :change::bigint, ch.balance, :note from changed as ch
returning balance;
