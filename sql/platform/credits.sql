-- name: get_credits
-- The balance in cents; 0 for whoever has no balance row.
select coalesce(sum(balance), 0)::bigint as balance
from platform.balances
where user_id = :user_id;

-- name: spend_credits
-- Locks the balance, judges it, debits it and notes that in the ledger: all of it or nothing.
with
current as (
    select user_id, balance
    from platform.balances
    where user_id = :user_id
    for update
),

debit as (
    update platform.balances as b
    set balance = c.balance - :cost::bigint
    from current as c
    where b.user_id = c.user_id and c.balance >= :cost::bigint
    returning b.user_id, b.balance
),

entry as (
    insert into platform.credit_transactions (user_id, amount, balance, metadata)
    select
        d.user_id,
        -:cost::bigint as amount,
        d.balance,
        jsonb_strip_nulls(:metadata::jsonb) as metadata
    from debit as d
    returning balance
),

reply as (
    select
        e.balance as result,
        case
            when e.balance is null then jsonb_build_object(
                'error', 'InsufficientCredits',
                'message', format('balance %s is below the cost %s (cents)', coalesce(c.balance, 0), :cost::bigint),
                'details', jsonb_build_object('balance', coalesce(c.balance, 0), 'cost', :cost::bigint)
            )
        end as error,
        case
            when e.balance is not null then jsonb_build_array(jsonb_build_object(
                'type', 'CreditsSpent', 'aggregate', 'credits', 'aggregate_id', :user_id,
                'data', jsonb_build_object('cost', :cost::bigint, 'balance', e.balance)
            ))
        end as events
    from (values (1)) as one (row)
    left join current as c on true
    left join entry as e on true
)

select * from reply;

-- name: add_credits
-- Credits the balance of a known user, made on first use, and notes that in the ledger: all of it or nothing.
with
owner as (
    select id
    from platform.users
    where id = :user_id
),

credit as (
    insert into platform.balances as b (user_id, balance)
    select o.id, :amount::bigint
    from owner as o
    on conflict (user_id) do update set balance = b.balance + excluded.balance
    returning b.user_id, b.balance
),

entry as (
    insert into platform.credit_transactions (user_id, amount, balance, reason)
    select c.user_id, :amount::bigint, c.balance, :reason
    from credit as c
    returning balance
),

reply as (
    select
        e.balance as result,
        case
            when e.balance is null then jsonb_build_object(
                'error', 'NotFoundError',
                'message', format('there is no user %L', :user_id),
                'details', jsonb_build_object('user_id', :user_id)
            )
        end as error,
        case
            when e.balance is not null then jsonb_build_array(jsonb_build_object(
                'type', 'CreditsAdded', 'aggregate', 'credits', 'aggregate_id', :user_id,
                'data', jsonb_build_object('amount', :amount::bigint, 'reason', :reason, 'balance', e.balance)
            ))
        end as events
    from (values (1)) as one (row)
    left join entry as e on true
)

select * from reply;
