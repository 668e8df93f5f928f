-- name: add_notification
-- Adds to the batch of this user and type, made on first use; the batch as it stands then, without its notifications.
with
batch as (
    insert into platform.notification_batches (user_id, type)
    values (:user_id, :notification_type)
    on conflict (user_id, type) do update set updated_at = clock_timestamp()
    returning user_id, type, created_at, updated_at
),

added as (
    insert into platform.notifications (user_id, type, created_at, data)
    select
        b.user_id,
        b.type,
        :created_at::timestamptz as created_at,
        :data::jsonb as data
    from batch as b
)

select to_jsonb(b) || '{"notifications": []}' as batch
from batch as b;

-- name: empty_user_notification_batch
-- Deletes the batch, and with it its notifications.
with
emptied as (
    delete from platform.notification_batches
    where user_id = :user_id and type = :notification_type
    returning user_id, type
),

reply as (
    select
        null::jsonb as result,
        null::jsonb as error,
        (
            select
                jsonb_build_array(jsonb_build_object(
                    'type', 'NotificationBatchEmptied', 'aggregate', 'notification_batch', 'aggregate_id', e.user_id,
                    'data', jsonb_build_object('type', e.type)
                ))
            from emptied as e
        ) as events
)

select * from reply;

-- name: get_all_batches_by_type_page
-- A page of the batches of this type by user, and the cursor of the next one if there is one.
with
found as (
    select
        user_id, type, '[]'::jsonb as notifications, created_at, updated_at
    from platform.notification_batches
    where type = :notification_type and user_id > coalesce(:cursor::text, '')
    order by user_id
    limit :limit::bigint + 1
),

page as (
    select
        user_id, type, notifications, created_at, updated_at
    from found
    order by user_id
    limit :limit::bigint
)

select
    jsonb_build_array(
        coalesce(jsonb_agg(to_jsonb(p) order by p.user_id), '[]'::jsonb),
        case when (select count(*) from found) > :limit::bigint then max(p.user_id) end
    ) as page
from page as p;

-- name: find_notification_batch
-- The batch of this user and type, with the notifications that came first.
select
    b.user_id,
    b.type,
    (
        select
            jsonb_agg(
                jsonb_build_object(
                    'type', n.type, 'user_id', n.user_id, 'created_at', n.created_at, 'data', n.data
                ) order by n.number
            )
        from (
            select
                f.type,
                f.user_id,
                f.created_at,
                f.data,
                f.number
            from platform.notifications as f
            where f.user_id = b.user_id and f.type = b.type
            order by f.number
            limit :rows
        ) as n
    ) as notifications,
    b.created_at,
    b.updated_at
from platform.notification_batches as b
where b.user_id = :user_id and b.type = :notification_type;

-- name: get_user_notifications_page
-- A page of the notifications in the order of their arrival, and the cursor of the next one if there is one.
with
found as (
    select
        type, user_id, created_at, data, number
    from platform.notifications
    where user_id = :user_id and type = :notification_type and number > coalesce(:cursor::text::bigint, 0)
    order by number
    limit :limit::bigint + 1
),

page as (
    select
        type, user_id, created_at, data, number
    from found
    order by number
    limit :limit::bigint
)

select
    jsonb_build_array(
        coalesce(jsonb_agg(to_jsonb(p) - 'number' order by p.number), '[]'::jsonb),
        case when (select count(*) from found) > :limit::bigint then max(p.number)::text end
    ) as page
from page as p;

-- name: get_user_notification_oldest_message_in_batch
-- The notification that came first.
select
    type, user_id, created_at, data
from platform.notifications
where user_id = :user_id and type = :notification_type
order by number
limit 1;
