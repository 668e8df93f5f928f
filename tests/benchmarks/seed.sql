-- The rows everything is measured on: 100 000 users, 1 000 groups of 50 items, 100 000 executions that wait.
insert into bench.users (user_id, name, email, city, country, balance, visits, active, seen_at)
select
    n,
    'User number ' || n,
    'user' || n || '@example.com',
    'City ' || n % 1000,
    'Country ' || n % 100,
    n * 10,
    n % 77,
    n % 3 > 0,
    clock_timestamp()
from generate_series(1, 100000) as n;

insert into bench.items (
    item_id, group_id, title, body, state, owner, reviewer, position, price, stock, weight, listed, archived
)
select
    n,
    1 + n / 50,
    'Title of item ' || n,
    'A sentence or two that say what item ' || n || ' is good for.',
    'open',
    'owner-' || n % 500,
    case when n % 2 = 0 then 'reviewer-' || n % 50 end,
    n % 50,
    n * 3,
    n % 1000,
    n % 90,
    true,
    false
from generate_series(0, 49999) as n;
