"""What grading adds to stock nbgrader, one preprocessor each, named in `nbgrader_config.py`.

- reading: a submission's file -> a notebook, whatever the file holds
- repair: that notebook -> the lesson's cells, with the student's answers in them
- execute: run it; a loop or a dead kernel costs what it must and no more
- score: points; every graded cell either passed or stopped with an error
"""
