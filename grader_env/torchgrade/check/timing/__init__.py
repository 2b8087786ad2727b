"""A fair verdict on "at least X times as fast as the baseline" on a noisy machine.

sign_test   when enough pairs have been seen
race        baseline and candidate in turns, whoever runs them; gives a Record
record      what was measured, in numbers, a sentence and a picture
local       both in this process: a student's own notebook
"""
