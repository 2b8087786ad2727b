"""The lessons for people outside the hub: tests for otter-grader, made from the masters and never edited.

otter runs tests in the student's own process and reads back what that process wrote, so its results can be forged; the
judge's cannot. It suits visible checks, and hidden ones where nobody gains by cheating. Run an autograder zip on work
that you do not trust only inside a sandbox.
"""
