-- name: create_user
-- A new user, unless the id or the e-mail is taken: then nothing changes.
with
added as (
    insert into platform.users (id, email, name)
    values (:user_id, :email, :name)
    on conflict do nothing
    returning id, email, name, created_at
),

reply as (
    select
        a.id,
        a.email,
        a.name,
        a.created_at,
        case
            when a.id is null then jsonb_build_object(
                'error', 'Conflict',
                'message', format('the user id %L or the e-mail %L is taken; both must be new', :user_id, :email),
                'details', jsonb_build_object('user_id', :user_id::text, 'email', :email::text)
            )
        end as error,
        case
            when a.id is not null then jsonb_build_array(jsonb_build_object(
                'type', 'UserCreated', 'aggregate', 'user', 'aggregate_id', a.id, 'data', '{}'::jsonb
            ))
        end as events
    from (values (1)) as one (row)
    left join added as a on true
)

select * from reply;

-- name: get_user_email_by_id
-- A user's address.
select email
from platform.users
where id = :user_id;

-- name: get_user_email_verification
-- A user's address, and whether it is known to be theirs.
select
    id as user_id,
    email,
    email_verified as verified
from platform.users
where id = :user_id;

-- name: get_user_notification_preference
-- What a user said, and for those who said nothing what holds then.
select
    u.id as user_id,
    u.email,
    jsonb_build_object(
        'SYSTEM', coalesce(p.system, true),
        'REVIEW', coalesce(p.review, true),
        'EXECUTION', coalesce(p.execution, true),
        'MARKETING', coalesce(p.marketing, true)
    ) as preferences,
    coalesce(p.daily_limit, 3) as daily_limit,
    0 as emails_sent_today,
    date_trunc('day', clock_timestamp(), 'UTC') as last_reset_date
from platform.users as u
left join platform.notification_preferences as p on u.id = p.user_id
where u.id = :user_id;

-- name: find_unsubscribe_permit
-- What a token for this user is to say; nothing where there is no such user.
select
    id as user_id,
    clock_timestamp() + make_interval(days => :days) as until
from platform.users
where id = :user_id;

-- name: unsubscribe_permit_holds
-- Whether what a token says is so, by the same clock that it was made by.
select count(*) = 1 as it_does
from platform.users
where id = :user_id and clock_timestamp() < :until::timestamptz;

-- name: unsubscribe
-- A user who wants nothing; no row is touched where that is so already.
insert into platform.notification_preferences as p (user_id, system, review, execution, marketing, daily_limit)
values (:user_id, false, false, false, false, 0)
on conflict (user_id) do update
    set system = false, review = false, execution = false, marketing = false, daily_limit = 0
    where p.system or p.review or p.execution or p.marketing or p.daily_limit > 0;

-- name: find_active_user_ids
-- The users of the next runs in this time, and where to go on: nowhere if there were fewer runs than were asked for.
with
page as (
    select
        created_at, id, user_id
    from platform.graph_executions
    where
        (created_at, id) > (:after::timestamptz, :after_id::text)
        and created_at <= :end_time::timestamptz
    order by created_at, id
    limit :limit
),

next_page as (
    select
        created_at, id
    from page
    order by created_at, id
    offset :limit - 1
)

select
    array(
        select distinct p.user_id collate "C" as user_id
        from page as p
        order by user_id
    ) as user_ids,
    (select n.created_at from next_page as n) as last_at,
    (select n.id from next_page as n) as last_id;
