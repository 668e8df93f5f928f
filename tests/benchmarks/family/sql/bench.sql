-- name: noop
-- The smallest statement there is.
select 1 as value;

-- name: read_user
-- One row by its key.
select user_id, name, email, city, country, balance, visits, active, created_at, seen_at
from bench.users
where user_id = :user_id::bigint;

-- name: write
-- Books the amount, notes it in the ledger, and tells the new balance.
with
changed as (
    update bench.users
    set balance = balance + :amount::bigint
    where user_id = :user_id::bigint
    returning user_id, balance
),

entry as (
    insert into bench.entries (user_id, amount, balance)
    select c.user_id, :amount::bigint as amount, c.balance
    from changed as c
    returning balance
),

reply as (
    select
        e.balance as result,
        case
            when e.balance is null then jsonb_build_object(
                'error', 'NotFoundError',
                'message', format('there is no user %s', :user_id::bigint)
            )
        end as error,
        null::jsonb as events
    from (values (1)) as one (row)
    left join entry as e on true
)

select * from reply;

-- name: list_rows
-- The rows of a group, in the order of their positions.
select
    item_id,
    group_id,
    title,
    body,
    state,
    owner,
    reviewer,
    position,
    price,
    stock,
    weight,
    listed,
    archived,
    created_at,
    changed_at
from bench.items
where group_id = :group_id::bigint
order by position
limit 50;

-- name: slow
-- Takes 20 ms and no work.
select 1 as value from pg_sleep(0.02);
