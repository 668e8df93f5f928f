create schema odd;

create table odd.notes (
    note text not null,
    constraint notes_pkey primary key (note),
    constraint notes_note_fits check (length(note) <= 100000)
);
