create schema patient;

create table patient.notes (
    key text not null,
    times integer not null,
    constraint notes_pkey primary key (key)
);
