"""What students read after grading: their notebook, their scores, and nothing of a hidden test but its verdict."""
