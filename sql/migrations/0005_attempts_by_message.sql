-- Several copies of a call may travel, each in a message of its own. From now on `count` is how many workers were lost
-- with any of them, `messages` are those of which a loss or a run is known, and `running` those whose run has begun and
-- was not seen to end. `run` is written by workers of the version before alone.
alter table rowcall.attempts
add column messages uuid[] not null default '{}',
add column running uuid[] not null default '{}',
alter column run set default gen_random_uuid();
