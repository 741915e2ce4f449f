//! The program's own rooms: what turns decisions and sound of the other crates into `throng serve`, `speak`, `listen`.

pub mod sound_file;
