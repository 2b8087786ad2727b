"""The last cell of a lesson: which visible checks pass, what to revisit, and which lessons are done."""

import datetime
from collections import Counter

from torchgrade.progress import record
from torchgrade.progress.seen import SEEN


def footer() -> None:
    """Print where the student stands in this lesson, and keep it in their record."""
    if not SEEN.checks:
        print("No check has run in this notebook yet. Run it from the top, then run this cell again.")
        return
    lesson = Counter(lesson for lesson, _ in SEEN.checks).most_common(1)[0][0]
    checks = {exercise: ended for (of, exercise), ended in sorted(SEEN.checks.items()) if of == lesson}
    passed = sum(ended == "passed" for ended in checks.values())
    print(f"Lesson {lesson:02}: {passed} of {len(checks)} visible checks pass.")
    for exercise, ended in checks.items():
        if ended == "failed":
            print(f"  {lesson}.{exercise} does not pass yet: read section {lesson}.{exercise} and its hints again.")
        elif ended == "not answered":
            print(f"  {lesson}.{exercise} is not answered yet.")
    if passed == len(checks):
        print("  All of them. Hidden checks follow when you submit: look once more at what each says it also checks.")
    known = record.read()
    today = datetime.date.today().isoformat()
    known["lessons"][f"{lesson:02}"] = {"passed": passed, "checks": len(checks), "date": today}
    record.write(known)
    _show_lessons(known)


def _show_lessons(known: record.Record) -> None:
    print("\nYour lessons so far:")
    for lesson, one in sorted(known["lessons"].items()):
        if not isinstance(one, dict) or not one.get("checks"):
            continue
        passed, checks = one.get("passed", 0), one["checks"]
        filled = round(10 * passed / checks)
        bar, state = "■" * filled + "□" * (10 - filled), "done" if passed == checks else "revisit"
        print(f"  {lesson}  {bar}  {f'{passed}/{checks}':>5}  {state}  {one.get('date', '')}")
