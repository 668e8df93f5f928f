-- name: lock_user
-- Hold this user until the transaction ends: whoever else changes what is kept of the user waits. True where there is
-- one. Others may go on to refer to the user.
select true as known
from platform.users
where id = :user_id
for no key update;

-- name: find_user_integrations
-- A known user's sealed credentials; null where none were ever kept.
select k.sealed
from platform.users as u
left join platform.user_integrations as k on u.id = k.user_id
where u.id = :user_id;

-- name: keep_user_integrations
-- Put sealed credentials in the place of what the user had.
insert into platform.user_integrations as k (user_id, sealed)
values (:user_id, :sealed)
on conflict (user_id) do update set sealed = excluded.sealed, updated_at = clock_timestamp();

-- name: list_user_integrations
-- The next sealed credentials, in the order of their users.
select
    user_id as key,
    sealed
from platform.user_integrations
where user_id > :after
order by user_id
limit :rows::int;

-- name: reseal_user_integrations
-- Put what was sealed anew in the place of what it was made of, unless the user's credentials changed meanwhile.
update platform.user_integrations
set sealed = :sealed
where user_id = :key and sealed = :old;

-- name: find_user_metadata
-- A known user's sealed metadata; null where none were ever kept.
select k.sealed
from platform.users as u
left join platform.user_metadata as k on u.id = k.user_id
where u.id = :user_id;

-- name: keep_user_metadata
-- Put sealed metadata in the place of what the user had.
insert into platform.user_metadata as k (user_id, sealed)
values (:user_id, :sealed)
on conflict (user_id) do update set sealed = excluded.sealed, updated_at = clock_timestamp();

-- name: list_user_metadata
-- The next sealed metadata, in the order of their users.
select
    user_id as key,
    sealed
from platform.user_metadata
where user_id > :after
order by user_id
limit :rows::int;

-- name: reseal_user_metadata
-- Put what was sealed anew in the place of what it was made of, unless the user's metadata changed meanwhile.
update platform.user_metadata
set sealed = :sealed
where user_id = :key and sealed = :old;
