"""What teachers read: the class report, the list of what waits for a person, the debrief after the deadline."""
