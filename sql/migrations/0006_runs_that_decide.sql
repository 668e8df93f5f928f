-- `deciding` are messages whose run began, or would have, when two workers were lost already, or may have been: it is
-- to tell whether the call kills. `decided` says that a worker was lost with such a run; before, `count` ends at two.
-- `acquitted` are messages whose run went on for so long that its loss will not count, `forgiven` says how many
-- did not. `lost` are messages of which a loss is noted, `counted` those of them for which it counts.
alter table rowcall.attempts
add column deciding uuid[] not null default '{}',
add column decided boolean not null default false,
add column acquitted uuid[] not null default '{}',
add column forgiven bigint not null default 0,
add column lost uuid[] not null default '{}',
add column counted uuid[] not null default '{}';
