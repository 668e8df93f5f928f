create schema deadly;

-- A key that is noted twice was worked on twice: nothing here forbids it.
create table deadly.noted (
    key text not null,
    fuse jsonb
);

create index noted_key_idx on deadly.noted (key);
