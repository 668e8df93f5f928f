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
