"""What went wrong, where, and what to do about it: the one error a command shows as a single line."""


class CourseError(Exception):
    """A problem with the course's files or the machine that a person can mend.

    `what` is the fact, `where` the file (and cell) it concerns, `remedy` the next step. Commands print it as one line
    and exit with code 2.
    """

    def __init__(self, what: str, *, where: object = None, remedy: str = ""):
        self.what, self.where, self.remedy = what, where, remedy
        place = f"{where}: " if where else ""
        super().__init__(f"{place}{what}" + (f" {remedy}" if remedy else ""))
