"""The judge: graded cells run here, outside the student's process, and ask it over a socket."""
