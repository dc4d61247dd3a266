"""The desk: visits of inspectors, their images, reviews and reports, kept in SQLite and files; no HTTP in here."""
