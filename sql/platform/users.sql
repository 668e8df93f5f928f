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
