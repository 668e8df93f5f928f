-- `deciding` are those of `running` that began when two workers were lost already, or may have been: they are to tell
-- whether the call kills. `decided` says that a worker was lost with one; before, a write's `count` ends at two.
alter table rowcall.attempts
add column deciding uuid[] not null default '{}',
add column decided boolean not null default false;
